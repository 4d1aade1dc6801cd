"""The ranks of one attempt on this machine: forked, watched, told to stop, killed, and how each ended."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from trainer.launch import kernel
from trainer.launch.causes import Death, aborted_text
from trainer.launch.environment import MEMORY_VARIABLE, rank_environment
from trainer.launch.fork_server import ForkServer
from trainer.launch.hang import HangWatch, Standing, Stuck
from trainer.launch.options import Options
from trainer.launch.output import Output
from trainer.launch.pulse import VARIABLE, PulsePage, Reading
from trainer.launch.script import STACKS_SIGNAL
from trainer.launch.stacks import code_of_interest, in_own_code, waits_for_others

_STUBBORN_SECONDS = 30.0
"""After so long a rank that was killed and has not ended is spoken of: a driver holds it."""
_DUMP_SECONDS = 1.0
"""How long a rank gets to write its stacks."""


@dataclass
class _Rank:
    """One rank of this attempt."""

    local_rank: int
    pid: int | None = None
    code: int | None = None
    ended: float = 0.0
    told: bool = False
    text: str = ""


class Attempt:
    """Starts on construction; over when every rank has ended."""

    def __init__(
        self,
        options: Options,
        number: int,
        environment: Mapping[str, str],
        server: ForkServer,
        output: Output,
        page: PulsePage,
        memory: Mapping[int, int],
    ) -> None:
        """`environment` is what its ranks see alike, `memory` descriptors of memory that outlives them."""
        self.number = number
        self._options, self._output, self._page = options, output, page
        self._ranks = {rank: _Rank(rank) for rank in range(options.nproc_per_node)}
        self._orders: dict[int, _Rank] = {}
        self._stop_at: float | None = None
        self._kill_at: float | None = None
        self._killed_at: float | None = None
        self._memory_kills = kernel.kills_for_memory()
        page.clear()
        output.forget()
        self._hangs = HangWatch(options.hang_seconds, time.monotonic())
        first = options.node_rank * options.nproc_per_node
        for local_rank, rank in self._ranks.items():
            own = {**environment, **rank_environment(options, local_rank)}
            stdout, stderr = (output.pipe(first + local_rank, local_rank, target) for target in (1, 2))
            fds = {"stdout": stdout, "stderr": stderr, VARIABLE: page.fd, MEMORY_VARIABLE: memory[local_rank]}
            self._orders[server.fork_rank(own, fds)] = rank
            os.close(stdout)
            os.close(stderr)

    @property
    def over(self) -> bool:
        """Whether every rank has ended."""
        return all(rank.code is not None for rank in self._ranks.values())

    @property
    def _killed(self) -> bool:
        return self._killed_at is not None

    @property
    def beating(self) -> bool:
        """Whether some rank tells of its steps."""
        return any(self._page.read(rank).beat for rank in self._ranks)

    def on_forked(self, order: int, pid: int) -> bool:
        """Take note of a rank's process; returns whether it is one of this attempt's."""
        rank = self._orders.get(order)
        if rank is None:
            return False
        rank.pid = pid
        if self._killed:
            kernel.kill_group(pid)
        elif self._stop_at is not None:
            rank.told = True
            _signal(pid, signal.SIGTERM)
        return True

    def on_ended(self, pid: int, code: int, text: str = "") -> int | None:
        """Take note of a rank's end; returns its number on this machine, None where the process is none."""
        for rank in self._ranks.values():
            if rank.pid == pid and rank.code is None:
                rank.code, rank.ended, rank.text = code, time.monotonic(), text
                rank.told = rank.told or self._killed
                return rank.local_rank
        return None

    def on_zygote_gone(self, code: int) -> None:
        """The zygote took every rank with it."""
        for rank in self._ranks.values():
            if rank.code is None:
                if rank.pid is not None:
                    kernel.kill_group(rank.pid)
                rank.code, rank.ended, rank.told = -signal.SIGKILL, time.monotonic(), self._killed
                rank.text = f"the process that forks the ranks ended ({code}), and they with it"

    def stop(self, grace: float) -> None:
        """Tell every rank to stop within so many seconds; 0 kills them at once."""
        now = time.monotonic()
        if grace <= 0:
            self._kill()
            return
        self._kill_at = now + grace if self._kill_at is None else min(self._kill_at, now + grace)
        self._page.set_deadline(self._kill_at - now)
        if self._stop_at is None:
            self._stop_at = now
            for rank in self._alive():
                rank.told = True
                if rank.pid is not None:
                    _signal(rank.pid, signal.SIGTERM)

    def tick(self, now: float) -> None:
        """Kill what did not stop in time."""
        if self._kill_at is not None and now > self._kill_at and not self._killed:
            self._kill()
        if self._killed_at is not None and now - self._killed_at > _STUBBORN_SECONDS:
            pids = ", ".join(str(rank.pid) for rank in self._alive())
            self._output.say(f"launcher: killed and not yet gone, inside the kernel: process {pids}")
            self._killed_at = now

    def _kill(self) -> None:
        if self._killed_at is None:
            self._killed_at = time.monotonic()
        for rank in self._alive():
            rank.told = True
            if rank.pid is not None:
                kernel.kill_group(rank.pid)

    def _alive(self) -> list[_Rank]:
        return [rank for rank in self._ranks.values() if rank.code is None]

    def stuck(self, now: float) -> Stuck | None:
        """Return the rank that has stood still for too long, by its pulse."""
        if self._stop_at is not None or self._killed:
            return None
        return self._hangs.look(
            {rank.local_rank: self._page.read(rank.local_rank) for rank in self._alive()}, now
        )

    def dump_stacks(self) -> list[Standing]:
        """Have each rank write its Python stacks, one after the other, and return where each stands."""
        found = []
        for rank in self._alive():
            number = self._options.node_rank * self._options.nproc_per_node + rank.local_rank
            self._output.clear_said(rank.local_rank)
            self._output.say(f"launcher: the stacks of rank {number}:")
            if rank.pid is not None:
                _signal(rank.pid, STACKS_SIGNAL)
            dump = self._wait_for_dump(rank.local_rank)
            frame, said = code_of_interest(dump), self._page.read(rank.local_rank)
            waits, own = waits_for_others(dump), in_own_code(dump)
            found.append(Standing(number, said.step, waits, str(frame or ""), said.phase, own))
        return found

    def _wait_for_dump(self, local_rank: int) -> list[str]:
        """Return the lines that it has written once they have ended, or the time is up."""
        until, lines = time.monotonic() + _DUMP_SECONDS, list[str]()
        while time.monotonic() < until:
            time.sleep(0.05)
            before, lines = lines, self._output.said(local_rank)
            if lines and lines == before and waits_for_others(lines) is not None:
                break
        return lines

    def deaths(self) -> list[Death]:
        """Return how each rank has ended; call it once all have."""
        now, kills = time.monotonic(), kernel.kills_for_memory()
        return [self._death(rank, now, kills > self._memory_kills) for rank in self._ranks.values()]

    def _death(self, rank: _Rank, now: float, short_of_memory: bool) -> Death:
        reading: Reading = self._page.read(rank.local_rank)
        assert rank.code is not None, "the attempt is over"
        # What it said counts only where it did not go on to end well.
        text = reading.cause if rank.code not in (0, 75) else ""
        if not text and rank.code == -signal.SIGABRT:
            text = aborted_text(self._output.said(rank.local_rank))
        said_at = reading.cause_time if reading.cause else rank.ended
        return Death(
            rank=self._options.node_rank * self._options.nproc_per_node + rank.local_rank,
            node=self._options.node_rank,
            code=rank.code,
            step=reading.step if reading.beat else None,
            phase=reading.phase,
            text=text or rank.text,
            seconds_ago=max(0.0, now - said_at),
            told=rank.told,
            falls=reading.falls,
            short_of_memory=short_of_memory and rank.code == -signal.SIGKILL,
        )

    def describe_reading(self, local_rank: int) -> dict[str, Any]:
        """Return what decides whether this rank's end was its own doing: its code and its words."""
        rank = self._ranks[local_rank]
        return {"code": rank.code, "text": self._page.read(local_rank).cause, "told": rank.told}


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
