"""The launcher's main thread: one queue of events, and who answers each."""

from __future__ import annotations

import contextlib
import queue
import signal
import time
from typing import Any

from trainer.launch import kernel
from trainer.launch.agent import Agent
from trainer.launch.causes import EXIT_FAILED, EXIT_STOPPED, EXIT_USER_MISTAKE
from trainer.launch.coordinator import Coordinator
from trainer.launch.fork_server import Events, ForkServer
from trainer.launch.options import Options
from trainer.launch.report import Report, say
from trainer.launch.wire import PING_SECONDS, Client, Line, Message, Server

_TICK_SECONDS = 0.25
_FAREWELL_SECONDS = 5.0


class Launcher:
    """One machine's launcher; on machine 0 with the job's coordinator."""

    def __init__(self, options: Options, server: ForkServer, events: Events) -> None:
        """`server` has been started and puts `fork` events into the queue, signals `signal_event`."""
        self._options, self._events = options, events
        self._agent = Agent(options, server, self._tell, lambda: self._put("printed", None))
        self._lines: dict[int, Line] = {}
        self._coordinator: Coordinator | None = None
        self._client: Client | None = None
        self._report: Report | None = None
        self._unlinked_since: float | None = time.monotonic()
        self._met = options.node_rank == 0
        """Whether machine 0's launcher has ever been reached: ranks may have run."""
        self._asked: int | None = None
        self._result: int | None = None
        self._last_ping = 0.0

    def _put(self, kind: str, value: Any) -> None:
        """Add an event; from any thread."""
        self._events.put((kind, value))

    def run(self) -> int:
        """Carry the job to its end and return the exit code."""
        kernel.adopt_orphans()
        self._agent.start()
        try:
            self._connect()
            if self._options.watches_spot:
                # Only here: it brings in urllib, and the start counts.
                from trainer.launch.spot import SpotWatch

                SpotWatch().start(lambda what, seconds: self._put("spot", (what, seconds)))
            while self._result is None:
                self._step()
            self._await_farewells()
            return self._result
        finally:
            self._agent.close()

    def _await_farewells(self) -> None:
        """Leave the others' connections open until they have read that the job is over."""
        until = time.monotonic() + _FAREWELL_SECONDS
        while self._lines and time.monotonic() < until:
            with contextlib.suppress(queue.Empty):
                kind, value = self._events.get(timeout=_TICK_SECONDS)
                if kind == "lost" and self._lines.get(value[0]) is value[1]:
                    del self._lines[value[0]]

    def _connect(self) -> None:
        options = self._options
        hello: Message = {
            "is": "hello",
            "run_id": options.run_id,
            "node": options.node_rank,
            "nnodes": options.nnodes,
            "nproc_per_node": options.nproc_per_node,
        }
        if options.node_rank:
            self._client = Client(hello, (options.master_addr, options.master_port), self._put)
            self._client.start()
            return
        try:
            self._report = Report(options)
        except OSError as error:
            say(f"failed: the run directory cannot be written: {error}")
            self._result = EXIT_USER_MISTAKE
            return
        self._coordinator = Coordinator(options, self._order, self._report)
        if options.nnodes > 1:
            try:
                Server(hello, options.nnodes, self._put).listen(options.master_port, patience=10.0)
            except OSError as error:
                say(f"failed: --master-port {options.master_port} cannot be used: {error}; choose another")
                self._report.job_ended(EXIT_USER_MISTAKE, "its port is taken")
                self._result = EXIT_USER_MISTAKE
        self._coordinator.joined(0)

    def _step(self) -> None:
        """Answer one event, or none where a tick is due."""
        try:
            kind, value = self._events.get(timeout=_TICK_SECONDS)
        except queue.Empty:
            kind, value = "", None
        if kind:
            getattr(self, f"_on_{kind}")(value)
        now = time.monotonic()
        self._agent.tick(now)
        if self._coordinator is not None:
            self._coordinator.tick(now)
            if self._coordinator.verdict is not None:
                self._close_job(self._coordinator.verdict.code, self._coordinator.verdict.text)
        if now - self._last_ping > PING_SECONDS:
            self._last_ping = now
            self._ping()
        if self._client is not None and self._unlinked_since is not None:
            if self._agent.idle:
                self._client.be_free()
            self._give_up_if_late(now)

    # What the threads and the signals put into the queue, by the event's name.

    def _on_fork(self, event: dict[str, Any]) -> None:
        self._agent.on_fork_event(event)

    def _on_printed(self, _: None) -> None:
        if self._report is not None:
            self._report.printed()

    def _on_local(self, message: Message) -> None:
        assert self._coordinator is not None, "only machine 0 talks to itself"
        self._coordinator.on_message(0, message)

    def _on_joined(self, joined: tuple[int, Line]) -> None:
        assert self._coordinator is not None, "only machine 0 listens"
        node, line = joined
        if node in self._lines:
            self._lines[node].send({"do": "refuse", "why": f"another launcher came as --node-rank {node}"})
            self._lines[node].close()
        self._lines[node] = line
        self._coordinator.joined(node)

    def _on_message(self, told: tuple[int, Line, Message]) -> None:
        assert self._coordinator is not None, "only machine 0 listens"
        node, line, message = told
        if self._lines.get(node) is not line:
            return
        try:
            self._coordinator.on_message(node, message)
        except (KeyError, TypeError, ValueError) as error:
            say(f"node {node} said what cannot be understood ({error!r}); it has to join again")
            line.close()

    def _on_lost(self, lost: tuple[int, Line]) -> None:
        assert self._coordinator is not None, "only machine 0 listens"
        node, line = lost
        if self._lines.get(node) is line:
            del self._lines[node]
            self._coordinator.lost(node)

    def _on_linked(self, _: None) -> None:
        self._unlinked_since, self._met = None, True

    def _on_unlinked(self, _: None) -> None:
        """Machine 0's launcher is gone, and so are its ranks: ours cannot go on without them."""
        self._unlinked_since = time.monotonic()
        if self._result is None:
            say("machine 0's launcher is gone; waiting for it")
            self._agent.abandon()

    def _on_order(self, order: Message) -> None:
        if order["do"] == "finish":
            self._close_job(int(order["code"]), str(order["text"]))
        elif order["do"] == "refuse":
            self._close_job(EXIT_USER_MISTAKE, f"failed: machine 0 refuses this one: {order['why']}")
        else:
            self._agent.on_order(order)

    def _on_spot(self, notice: tuple[str, float]) -> None:
        what, seconds = notice
        self._ask_stop(f"spot notice on node {self._options.node_rank}: {what}", signal.SIGTERM, seconds)

    def _on_signal_event(self, number: int) -> None:
        """Pass a signal on to every rank of every machine; a second Ctrl-C ends all at once."""
        name = signal.Signals(number).name
        again = self._asked == number
        if again and number != signal.SIGINT:
            return  # whoever told us tells the same again
        grace = 0.0 if again else self._options.grace
        self._ask_stop(f"{name} on node {self._options.node_rank}", number, grace)

    def _ask_stop(self, why: str, number: int, grace: float) -> None:
        self._asked = number
        if self._client is not None and self._unlinked_since is not None:
            self._close_job(128 + number if self._met else EXIT_STOPPED, f"stopped: {why}")
            return
        self._tell({"is": "asked", "why": why, "code": 128 + number, "grace": grace})

    # How messages travel.

    def _tell(self, message: Message) -> None:
        """Send to the coordinator; on machine 0 through the queue: one thing is answered at a time."""
        if self._client is not None:
            self._client.send(message)
        else:
            self._put("local", message)

    def _order(self, node: int, order: Message) -> None:
        """Send to a machine's agent."""
        if node == 0:
            if order["do"] != "finish":
                self._agent.on_order(order)
        elif node in self._lines:
            self._lines[node].send(order)

    def _ping(self) -> None:
        if self._options.hang_seconds is not None:
            self._tell({"is": "silent", "seconds": self._agent.silent_seconds})
        if self._client is not None:
            self._client.send({"is": "ping"})
        for line in self._lines.values():
            line.send({"do": "ping"})

    def _give_up_if_late(self, now: float) -> None:
        assert self._unlinked_since is not None, "there is no link"
        if now - self._unlinked_since > self._options.join_seconds:
            address = f"{self._options.master_addr}:{self._options.master_port}"
            self._close_job(
                EXIT_FAILED, f"failed: no launcher at {address} within {self._options.join_seconds:g} s"
            )

    def _close_job(self, code: int, text: str) -> None:
        if self._result is None:
            self._agent.close()
            if text != "done":
                say(text)
            self._result = code
            if self._client is not None:
                self._client.close()
