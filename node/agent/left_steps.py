"""Ends the steps that a dead machine leaves behind on this one, so that their job can start again.

A step's slurmstepd tells the srun that started it how its tasks ended. Where srun's machine has lost its
power nobody answers, and the daemon tries five times, for 16 s in all; as long the job counts as completing,
and Slurm does not start it again.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from node.slurm.tools import SlurmError, run

LOOK_SECONDS = 1.0
LEAST_SECONDS = 2.0
"""For how long a step has had no task: one that begins or ends as it should has none for a fraction of it."""
_TITLE = re.compile(r"slurmstepd: \[(\d+)\.\d+\]")
"""What slurmstepd calls itself for a step of srun's; batch steps have a word for a number."""


class LeftSteps:
    """The daemons of steps without tasks, and since when."""

    def __init__(
        self,
        state: Callable[[str], str] | None = None,
        end: Callable[[int], None] | None = None,
        proc: Path = Path("/proc"),
    ) -> None:
        """`state` returns a job's state in Slurm by its number, `end` kills a process."""
        self._state, self._end, self._proc = state or job_state, end or _kill, proc
        self._since: dict[int, float] = {}

    def look(self, now: float | None = None) -> float:
        """End what is left over of jobs that are completing; return the next pause, seconds."""
        moment = time.monotonic() if now is None else now
        empty = empty_steps(self._proc)
        self._since = {pid: self._since.get(pid, moment) for pid in empty}
        for pid, job in empty.items():
            if moment - self._since[pid] >= LEAST_SECONDS and self._is_over(job):
                print(f"the step of job {job} has no task left, and nobody to tell: its daemon is ended")
                self._end(pid)
        return LOOK_SECONDS

    def _is_over(self, job: str) -> bool:
        try:
            return self._state(job) == "COMPLETING"
        except SlurmError as error:
            print(f"job {job} was not looked at: {error}", file=sys.stderr)
            return False


def empty_steps(proc: Path = Path("/proc")) -> dict[int, str]:
    """Return the daemons of steps that have no process below them: the job's number by process id."""
    steps: dict[int, str] = {}
    parents: set[int] = set()
    for entry in proc.iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError, IndexError, ValueError):  # it has ended meanwhile
            told, _, fields = (entry / "stat").read_text().rpartition(")")
            parents.add(int(fields.split()[1]))
            if told.endswith("(slurmstepd"):
                title = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                if found := _TITLE.match(title):
                    steps[int(entry.name)] = found[1]
    return {pid: job for pid, job in steps.items() if pid not in parents}


def job_state(job: str) -> str:
    """Return Slurm's state of a job. Raises SlurmError."""
    return run("squeue", ["--noheader", f"--jobs={job}", "--states=all", "--format=%T"]).strip()


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
