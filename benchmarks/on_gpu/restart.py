"""G4: from `kill -9` to the next step of a compiled model: from cold, and by our launcher and cache.

Cold is what most have: a new interpreter, nothing compiled, the same checkpoint. Both load the same state.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.trainer.launching import environment, ours
from benchmarks.trainer.results import Row
from benchmarks.trainer.told import last_told

GOAL = 0.3
FIRST_STEPS = 25
WORKER = "benchmarks.on_gpu.restart_worker"
PATIENCE = 400.0


def measure(*, smoke: bool = False) -> list[Row]:
    """Return the time of ours against that from cold."""
    with tempfile.TemporaryDirectory(prefix="gpu-restart-") as folder:
        warm = _restart(Path(folder), [*ours(1), "-m", WORKER], smoke, again=None)
    with tempfile.TemporaryDirectory(prefix="gpu-restart-") as folder:
        alone = [sys.executable, "-m", WORKER]
        cold = _restart(Path(folder), alone, smoke, again=lambda: _fresh(Path(folder)))
    return [
        Row(
            id="G4",
            what="kill -9 to the next step, 350M compiled",
            value=f"{warm:.1f} s",
            baseline=f"from cold {cold:.1f} s",
            ratio=warm / cold,
            goal=f"<= {GOAL}",
            met=warm / cold <= GOAL,
        )
    ]


def _fresh(folder: Path) -> dict[str, str]:
    """Return what makes the next start a cold one: compile caches of its own, and none in the run."""
    for path in (folder / "run" / "compile-cache").glob("*"):
        path.unlink()
    return {"TORCHINDUCTOR_CACHE_DIR": str(folder / "cold"), "TRITON_CACHE_DIR": str(folder / "cold-triton")}


def _restart(
    folder: Path, command: list[str], smoke: bool, again: Callable[[], dict[str, str]] | None
) -> float:
    """Kill the training once; `again` tells that nobody starts it anew but we, and with which variables."""
    caches = {"TORCHINDUCTOR_CACHE_DIR": str(folder / "first"), "TRITON_CACHE_DIR": str(folder / "triton")}
    arguments = [f"--folder={folder}", *(["--smoke"] if smoke else [])]
    variables = environment(folder / "run", OMP_NUM_THREADS="4", **caches)
    job = subprocess.Popen([*command, *arguments], env=variables)
    try:
        before = _wait(folder, lambda step, pid: step >= FIRST_STEPS)
        killed = time.monotonic()
        os.kill(before[1], signal.SIGKILL)
        if again is not None:
            job.wait()
            job = subprocess.Popen([*command, *arguments], env=variables | again())
        after = _wait(folder, lambda step, pid: pid != before[1])
        return after[0] - killed
    finally:
        job.terminate()
        job.wait()


def _wait(folder: Path, enough: Callable[[int, int], bool]) -> tuple[float, int]:
    """Return when the step that was waited for was done, and by which process."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        told = last_told(folder, ranks=1).get(0)
        if told is not None and enough(told.step, told.pid):
            return told.moment, told.pid
        time.sleep(0.02)
    raise TimeoutError(f"no step within {PATIENCE:.0f} s")
