"""One machine's part of a job: carries out what the coordinator orders, and tells it what happens here."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import asdict, astuple
from typing import Any

from trainer.launch import kernel
from trainer.launch.attempt import Attempt
from trainer.launch.causes import signal_name
from trainer.launch.environment import attempt_environment
from trainer.launch.fork_server import ForkServer
from trainer.launch.options import Options
from trainer.launch.output import Output
from trainer.launch.pulse import PulsePage
from trainer.launch.wire import Message

_DRAIN_SECONDS = 0.5
_BROKEN_AFTER = 3
"""Zygotes or stores in a row that ended before they were ready: torch does not work here."""


class Agent:
    """Holds the zygote, the ranks' memory and the attempt that runs; for the launcher's main thread alone."""

    def __init__(
        self,
        options: Options,
        server: ForkServer,
        send: Callable[[Message], None],
        on_print: Callable[[], None],
    ) -> None:
        """`server` has been started; `send` reaches the coordinator; `on_print` is called from a thread."""
        self._options, self._server, self._send = options, server, send
        self.output = Output(prefix=options.log_prefix and options.world_size > 1, on_first=on_print)
        self._page = PulsePage(options.nproc_per_node)
        self._memory = {
            rank: os.memfd_create(f"fleetform-memory-{rank}", os.MFD_CLOEXEC)
            for rank in range(options.nproc_per_node)
        }
        self._attempt: Attempt | None = None
        self._store_order = 0
        """The order of the next attempt's store."""
        self._store_pids: dict[int, int] = {}
        self._ready_stores: set[int] = set()
        self._failures = 0

    def start(self) -> None:
        """Begin to read what the ranks print, and have the first store made."""
        self.output.start()
        self._order_store()

    def _order_store(self) -> None:
        if self._options.node_rank == 0:
            self._store_order = self._server.fork_store()

    @property
    def silent_seconds(self) -> float:
        """How long the ranks of this machine have printed nothing; 0 where they tell of their steps."""
        if self._attempt is None or self._attempt.beating:
            return 0.0
        return time.monotonic() - self.output.last_time

    def on_order(self, order: Message) -> None:
        """Carry out what the coordinator orders."""
        kind = order["do"]
        if kind == "start":
            self._start(int(order["attempt"]), attempt_environment(order))
        elif kind == "stop":
            self._stop(int(order["attempt"]), float(order["grace"]))
        elif kind == "dump" and self._attempt is not None:
            standings = [list(astuple(standing)) for standing in self._attempt.dump_stacks()]
            self._send({"is": "stacks", "attempt": self._attempt.number, "standings": standings})

    def _start(self, number: int, environment: dict[str, str]) -> None:
        assert self._attempt is None, "an attempt begins where the one before has ended"
        self._attempt = Attempt(
            self._options, number, environment, self._server, self.output, self._page, self._memory
        )
        self._order_store()  # the next attempt's: it is at hand when this one fails

    def _stop(self, number: int, grace: float) -> None:
        if self._attempt is None or self._attempt.number != number:
            self._send({"is": "stopped", "attempt": number, "deaths": []})
            return
        self._attempt.stop(grace)

    def abandon(self) -> None:
        """Kill the ranks and tell nobody: the coordinator is gone."""
        if self._attempt is not None:
            self._attempt.stop(0)

    @property
    def idle(self) -> bool:
        """Whether no rank runs here."""
        return self._attempt is None

    def on_fork_event(self, event: dict[str, Any]) -> None:
        """Take in what the zygote says."""
        kind = event["is"]
        if kind == "ready":
            if self._options.node_rank:
                self._failures = 0
        elif kind == "forked":
            if self._attempt is None or not self._attempt.on_forked(event["id"], event["pid"]):
                self._store_pids[event["pid"]] = event["id"]
        elif kind == "store":
            self._failures = 0
            self._ready_stores.add(event["id"])
            self._send({"is": "store", "id": event["id"], "port": event["port"]})
        elif kind == "ended":
            self._on_ended(event["pid"], event["code"])
        elif kind == "broken":
            self._failures = _BROKEN_AFTER
            self._send({"is": "broken", "why": event["why"]})
        elif kind == "gone":
            self._on_gone(event["code"])

    def _on_ended(self, pid: int, code: int) -> None:
        store = self._store_pids.pop(pid, None)
        if store is not None:
            self._on_store_ended(store, code)
            return
        local_rank = None if self._attempt is None else self._attempt.on_ended(pid, code)
        if self._attempt is None or local_rank is None:
            return
        if not self._attempt.over and code != 0:
            self._send(
                {"is": "ended", "attempt": self._attempt.number, **self._attempt.describe_reading(local_rank)}
            )
        self._close_if_over()

    def _on_store_ended(self, store: int, code: int) -> None:
        """Tell of it, and order the next attempt's anew if it was that one."""
        self._send({"is": "store_lost", "id": store, "why": _ended(code)})
        if store == self._store_order and (store in self._ready_stores or not self._broken(code)):
            self._order_store()

    def _broken(self, code: int) -> bool:
        """Count a failure to start; returns whether there have been too many, which ends the job."""
        self._failures += 1
        if self._failures < _BROKEN_AFTER:
            return False
        self._send({"is": "broken", "why": f"no process with torch can be started: {_ended(code)}"})
        return True

    def _on_gone(self, code: int) -> None:
        """Replace a zygote that has died; with it went its stores and every rank."""
        if self._broken(code):
            return
        self._store_pids.clear()
        self._send({"is": "store_lost", "id": self._store_order, "why": "its parent ended"})
        if self._attempt is not None:
            self._attempt.on_zygote_gone(code)
        self._server.start()
        self._close_if_over()
        self._order_store()

    def _close_if_over(self) -> None:
        """End an attempt whose ranks have all ended: nothing of it stays behind."""
        if self._attempt is None or not self._attempt.over:
            return
        held = kernel.kill_children(keep={self._server.pid})
        if held:
            pids = ", ".join(map(str, held))
            self.output.say(f"launcher: killed and not yet gone, inside the kernel: process {pids}")
        for pid in [pid for pid, order in self._store_pids.items() if order != self._store_order]:
            del self._store_pids[pid]
            kernel.kill_group(pid)
        self.output.drain(_DRAIN_SECONDS)
        deaths = self._attempt.deaths()
        number, self._attempt = self._attempt.number, None
        self._send({"is": "stopped", "attempt": number, "deaths": [death.to_message() for death in deaths]})

    def tick(self, now: float) -> None:
        """Kill what has overstayed; report what hangs."""
        if self._attempt is None:
            return
        self._attempt.tick(now)
        stuck = self._attempt.stuck(now)
        if stuck is not None:
            self._send({"is": "stuck", "attempt": self._attempt.number, **asdict(stuck)})

    def close(self) -> None:
        """Kill whatever is left of this machine's part."""
        self.abandon()
        self._server.kill()
        kernel.kill_children()


def _ended(code: int) -> str:
    return f"ended by {signal_name(-code)}" if code < 0 else f"exit code {code}"
