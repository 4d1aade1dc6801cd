"""C4: after `kill -9` of one of two processes, how often and how soon training goes on, and what was lost.

A process drawn at random is killed once the job is 67 steps further than when it last began; the clock runs
until both processes have done a step again. A start counts as lost where that takes over a minute. torchrun
runs as it is and with the one variable that repairs its store; it is told to restart as often as needed.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.trainer.launching import FIXED_TORCHRUN, environment, ours, torchrun
from benchmarks.trainer.results import Row, median
from benchmarks.trainer.told import Told, all_told, last_told

GOAL_RATIO = 0.25
KILLS_OURS = 50
KILLS_TORCHRUN = 10
STEPS_BETWEEN = 67
PATIENCE = 60.0
"""Seconds after which a restart is taken for failed."""


@dataclass
class Outcome:
    """What became of the kills."""

    seconds: list[float]
    """From each kill to the first step of both processes that came after it."""
    lost: list[int]
    """Steps that were done again."""
    failed: int = 0


def measure(kills: int = KILLS_OURS, torchrun_kills: int = KILLS_TORCHRUN) -> list[Row]:
    """Return the rows of ours and of torchrun, repaired and as it is."""
    mine = kill_many(ours(2, "--max-restarts=1000"), "ours", kills, {})
    repaired = kill_many(torchrun(2, "--max-restarts=1000"), "bare", torchrun_kills, FIXED_TORCHRUN)
    plain = kill_many(torchrun(2, "--max-restarts=3"), "bare", torchrun_kills, {})
    assert repaired.seconds, "the repaired torchrun restarts"
    ratio = median(mine.seconds) / median(repaired.seconds) if mine.seconds else float("inf")
    return [
        Row(
            id="C4",
            what="kills after which training went on, ours",
            value=f"{kills - mine.failed} of {kills}",
            goal=f"{kills} of {kills}",
            met=mine.failed == 0,
        ),
        Row(
            id="C4",
            what="kill to the next step, ours",
            value=_spread(mine.seconds),
            baseline=f"torchrun repaired {_spread(repaired.seconds)}",
            ratio=ratio,
            goal=f"<= {GOAL_RATIO}",
            met=ratio <= GOAL_RATIO,
        ),
        Row(
            id="C4",
            what="steps done again a kill, ours (at most)",
            value=str(max(mine.lost, default=-1)),
            baseline=f"torchrun repaired {max(repaired.lost)}",
            goal="<= 10, aim 1",
            met=bool(mine.lost) and max(mine.lost) <= 10,
        ),
        Row(
            id="C4",
            what="kills after which training went on, torchrun repaired",
            value=f"{torchrun_kills - repaired.failed} of {torchrun_kills}",
        ),
        Row(
            id="C4",
            what="kills after which training went on, torchrun as it is",
            value=f"{torchrun_kills - plain.failed} of {torchrun_kills}",
        ),
    ]


def kill_many(start: list[str], loop: str, kills: int, extra: dict[str, str]) -> Outcome:
    """Kill one of the job's processes again and again; a job that does not come back is started anew."""
    outcome = Outcome([], [])
    choice = random.Random(4)
    while len(outcome.seconds) + outcome.failed < kills:
        with tempfile.TemporaryDirectory(prefix="restart-") as folder:
            worker = ["-m", "benchmarks.trainer.restart_worker", f"--loop={loop}", f"--folder={folder}"]
            job = subprocess.Popen(
                [*start, *worker, "--steps=1000000"],
                env=environment(Path(folder) / "run", **extra),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
            try:
                _kill_until_lost(Path(folder), job, kills, outcome, choice)
            finally:
                _end(job)
    return outcome


def _kill_until_lost(
    folder: Path, job: subprocess.Popen[bytes], kills: int, outcome: Outcome, choice: random.Random
) -> None:
    told = _both_past(folder, -1, {}, job, timeout=120)
    assert told is not None, "the job starts"
    while len(outcome.seconds) + outcome.failed < kills:
        begun = min(each.step for each in told.values())
        reached = _both_past(folder, begun + STEPS_BETWEEN, {}, job, timeout=PATIENCE)
        if reached is None:
            outcome.failed += 1
            return
        victim = choice.choice(sorted(reached))
        before = last_told(folder)
        killed = time.monotonic()
        os.kill(reached[victim].pid, signal.SIGKILL)
        told = _both_past(folder, -1, {rank: each.pid for rank, each in before.items()}, job, PATIENCE)
        if told is None:
            outcome.failed += 1
            return
        outcome.seconds.append(max(each.moment for each in told.values()) - killed)
        outcome.lost.append(
            max(0, max(each.step for each in before.values()) - min(_first_steps(folder, told)) + 1)
        )


def _both_past(
    folder: Path, step: int, old: dict[int, int], job: subprocess.Popen[bytes], timeout: float
) -> dict[int, Told] | None:
    """Wait until both processes, with other pids than the `old` ones, are past the step; None if in vain."""
    end = time.monotonic() + timeout
    while time.monotonic() < end and job.poll() is None:
        told = last_told(folder)
        if len(told) == 2 and all(
            each.step > step and each.pid != old.get(rank) for rank, each in told.items()
        ):
            return told
        time.sleep(0.005)
    return None


def _first_steps(folder: Path, told: dict[int, Told]) -> list[int]:
    """Return the first step that each of these processes has done."""
    return [
        next(each.step for each in all_told(folder, rank) if each.pid == last.pid)
        for rank, last in told.items()
    ]


def _spread(seconds: list[float]) -> str:
    if not seconds:
        return "never"
    return f"{median(seconds):.2f} s ({min(seconds):.2f} to {max(seconds):.2f})"


def _end(job: subprocess.Popen[bytes]) -> None:
    """End the job and all that it has started."""
    job.terminate()
    try:
        job.wait(10)
    except subprocess.TimeoutExpired:
        os.killpg(job.pid, signal.SIGKILL)
        job.wait()
