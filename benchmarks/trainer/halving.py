"""C2: by how much a second process cuts the time of a step of the same global batch.

Each arrangement is a job of its own, in an order drawn anew each round; the figure is the best round's
median, for what else a shared machine does can only make a step longer. One process of two threads stands
beside it.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks.trainer.launching import FIXED_TORCHRUN, environment, ours, run_json, torchrun
from benchmarks.trainer.results import Row, interleaved, median

GOAL_CUT = 0.45
GOAL_OF_BARE = 0.98
"""Our rate against bare DDP's, at two processes."""
ROUNDS = 5
STEPS = 16
GLOBAL_BATCH = 16
ARRANGEMENTS = {
    "bare, 1 process": ("bare", 1, 1),
    "bare, 1 process, again": ("bare", 1, 1),
    "bare, 2 processes": ("bare", 2, 1),
    "bare, 1 process of 2 threads": ("bare", 1, 2),
    "ours, 1 process": ("ours", 1, 1),
    "ours, 2 processes": ("ours", 2, 1),
}


def measure(rounds: int = ROUNDS) -> list[Row]:
    """Return the cut of ours and of bare DDP, and their rates against each other."""
    medians: dict[str, list[float]] = {name: [] for name in ARRANGEMENTS}
    for name in interleaved(list(ARRANGEMENTS), rounds, seed=2):
        medians[name].append(_median_step(*ARRANGEMENTS[name]))
    best = {name: min(values) for name, values in medians.items()}
    one, again = best["bare, 1 process"], best["bare, 1 process, again"]
    trusted = abs(again / one - 1) <= 0.05
    rows = [
        _cut("ours", best["ours, 1 process"], best["ours, 2 processes"], trusted),
        _cut("bare DDP", one, best["bare, 2 processes"], None),
        _cut("bare, 2 threads instead", one, best["bare, 1 process of 2 threads"], None),
    ]
    rate = best["bare, 2 processes"] / best["ours, 2 processes"]
    rows.append(
        Row(
            id="C2",
            what="rate of ours at 2 processes",
            value=f"{best['ours, 2 processes'] * 1e3:.1f} ms a step",
            baseline=f"bare DDP {best['bare, 2 processes'] * 1e3:.1f} ms",
            ratio=rate,
            goal=f">= {GOAL_OF_BARE}",
            met=rate >= GOAL_OF_BARE and trusted,
        )
    )
    rows.append(
        Row(
            id="C2",
            what="control: bare, 1 process, again",
            value=f"{again * 1e3:.1f} ms",
            baseline=f"{one * 1e3:.1f} ms",
            ratio=again / one,
        )
    )
    return rows


def _cut(name: str, one: float, two: float, trusted: bool | None) -> Row:
    cut = 1 - two / one
    return Row(
        id="C2",
        what=f"cut of a step's time by a second process, {name}",
        value=f"{cut:.1%}",
        baseline=f"{one * 1e3:.1f} -> {two * 1e3:.1f} ms",
        ratio=two / one,
        goal=f"cut >= {GOAL_CUT:.0%}" if trusted is not None else "",
        met=None if trusted is None else cut >= GOAL_CUT and trusted,
    )


def _median_step(loop: str, processes: int, threads: int) -> float:
    """Run one job and return the median of its steps' seconds."""
    with tempfile.TemporaryDirectory(prefix="halving-") as folder:
        start = ours(processes) if loop == "ours" else torchrun(processes)
        worker = [
            "-m",
            "benchmarks.trainer.halving_worker",
            f"--loop={loop}",
            f"--steps={STEPS}",
            f"--global-batch={GLOBAL_BATCH}",
            f"--threads={threads}",
        ]
        variables = environment(Path(folder), OMP_NUM_THREADS=str(threads), **FIXED_TORCHRUN)
        return median(run_json([*start, *worker], variables)["seconds"])
