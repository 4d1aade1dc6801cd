"""C1: what a step costs above a loop written by hand, of a model so small that little else is left.

All of our engine's features are on: metrics, ledger, pulse, data state, checkpoints, memory snapshots.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks.trainer.launching import environment, ours, run_json
from benchmarks.trainer.results import Row, median, noise, p10

GOAL = 1.05
ROUNDS = 24
BATCH = 8


def measure(rounds: int = ROUNDS) -> list[Row]:
    """Return the rows of one and of two processes."""
    return [row for world in (1, 2) for row in _of_world(world, rounds)]


def _of_world(world: int, rounds: int) -> list[Row]:
    with tempfile.TemporaryDirectory(prefix="overhead-") as folder:
        worker = ["-m", "benchmarks.trainer.overhead_worker", f"--rounds={rounds}", f"--batch={BATCH}"]
        measured = run_json([*ours(world), *worker], environment(Path(folder)))
    processor, wall = measured["processor"], measured["wall"]
    base = p10(processor["bare"])
    control = noise(processor["bare"], processor["bare again"], p10)
    rows = []
    for name in ("ours", "bare again", "Accelerate", "Fabric"):
        ratio = p10(processor[name]) / base
        rows.append(
            Row(
                id="C1",
                what=f"step of {name}, {world} process{'es' if world > 1 else ''}, processor time p10",
                value=f"{p10(processor[name]) * 1e3:.3f} ms (wall median {median(wall[name]) * 1e3:.2f})",
                baseline=f"bare {base * 1e3:.3f} ms (wall median {median(wall['bare']) * 1e3:.2f})",
                ratio=ratio,
                goal=f"<= {GOAL}" if name == "ours" else "",
                met=(ratio <= GOAL and control <= 0.05) if name == "ours" else None,
            )
        )
    return rows
