"""C7: how long after a spot notice a verified checkpoint stands, and what the next start has to do again.

Two processes train a model with 300 MB of state and save only when told to. The notice is that of an
instance metadata service; it counts from the moment it is there to be read, so the launcher's looking is in
the time.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from itertools import pairwise
from pathlib import Path

from benchmarks.trainer.launching import environment, ours
from benchmarks.trainer.metadata import Metadata
from benchmarks.trainer.results import Row, median
from benchmarks.trainer.told import all_told, last_told

GOAL_SECONDS = 10.0
ROUNDS = 3
EXIT_AGAIN = 75


def measure(rounds: int = ROUNDS) -> list[Row]:
    """Return the time to the checkpoint and the steps lost."""
    found = [_interrupt() for _ in range(rounds)]
    seconds = [each[0] for each in found]
    return [
        Row(
            id="C7",
            what="spot notice to a committed checkpoint (300 MB, 2 processes)",
            value=f"{median(seconds):.1f} s (slowest {max(seconds):.1f})",
            baseline=f"a step {median([each[2] for each in found]):.2f} s, the launcher looks every 5 s",
            goal=f"<= {GOAL_SECONDS:.0f} s, exit code {EXIT_AGAIN}",
            met=max(seconds) <= GOAL_SECONDS,
        ),
        Row(
            id="C7",
            what="steps done again by the next start",
            value=str(max(each[1] for each in found)),
            goal="0",
            met=all(each[1] == 0 for each in found),
        ),
    ]


def _interrupt() -> tuple[float, int, float]:
    """Interrupt one job and start it again; return seconds to the checkpoint, steps lost, seconds a step."""
    with tempfile.TemporaryDirectory(prefix="preemption-") as name, Metadata() as metadata:
        folder, run_dir = Path(name), Path(name) / "run"
        variables = environment(run_dir, **metadata.variables, FLEETFORM_SPOT="1")
        job = _start(folder, variables)
        _wait_for_step(folder, 12, job)
        metadata.interrupt()
        noticed = time.time()
        code = job.wait(timeout=120)
        assert code == EXIT_AGAIN, f"exit code {code}"
        stopped = last_told(folder)[0].step
        manifest = run_dir / "checkpoints" / f"step-{stopped}" / "manifest.json"
        saved = json.loads(manifest.read_text())["step"]
        seconds = manifest.stat().st_mtime - noticed
        told = all_told(folder, 0)
        step = median([after.moment - before.moment for before, after in pairwise(told)])
        metadata.notice = None
        again = _start(folder, variables)
        _wait_for_step(folder, stopped + 1, again)
        again.kill()
        again.wait()
        first = all_told(folder, 0)[len(told)].step
        return seconds, max(saved, stopped) + 1 - first, step


def _start(folder: Path, variables: dict[str, str]) -> subprocess.Popen[bytes]:
    worker = ["-m", "benchmarks.trainer.preemption_worker", f"--folder={folder}", "--steps=100000"]
    command = [*ours(2), *worker]
    return subprocess.Popen(command, env=variables, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _wait_for_step(folder: Path, step: int, job: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 120
    while time.monotonic() < end:
        told = last_told(folder)
        if len(told) == 2 and min(each.step for each in told.values()) >= step:
            return
        assert job.poll() is None, "the job runs"
        time.sleep(0.02)
    raise TimeoutError(f"step {step} was not reached")
