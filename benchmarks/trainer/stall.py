"""C3: what a save of 300 MB of state costs training, on a local disk and on a slow store.

Blocked is the time inside the call; lost is that and all by which the steps until the save is written, and
eight more, were slower than usual. Two processes on two cores, so whoever writes takes its time from the
steps. The ways run in an order drawn anew each round; the figures are medians over the rounds of their
saves.

C3b sends the same state to an object store that takes 50 MB/s. A synchronous save would block for all of
that.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.trainer.launching import environment, ours, run_json, torchrun
from benchmarks.trainer.results import Row, interleaved, median
from benchmarks.trainer.slow_store import SlowStore

WAYS = ("ours", "dcp.save", "dcp.async_save thread", "dcp.async_save process", "torch.save", "memcpy")
ROUNDS = 2
GOAL_BLOCKED, GOAL_LOST, GOAL_FIRST = 0.2, 0.6, 1.5
STATE_BYTES = 24_660_480 * 12
"""Weights and two moments of the model, 4 bytes a number."""
STORE_BYTES_PER_SECOND = 50e6
GOAL_SLOW_BLOCKED, GOAL_SLOW_STEP = 0.02, 1.05


def measure(rounds: int = ROUNDS) -> list[Row]:
    """Return the rows of a local disk and of a slow store."""
    found: dict[str, list[Any]] = {way: [] for way in WAYS}
    for way in interleaved(WAYS, rounds, seed=3):
        found[way].append(_run(way))
    return [*_local_rows(found), *_slow_rows(_run_slow())]


def _later(found: Sequence[Any], what: str) -> float:
    return median([save[what] for each in found for save in each["saves"][1:]])


def _first(found: Sequence[Any], what: str) -> float:
    return median([each["saves"][0][what] for each in found])


def _local_rows(found: dict[str, list[Any]]) -> list[Row]:
    blocked = {way: _later(found[way], "blocked") for way in WAYS}
    lost = {way: _later(found[way], "lost") for way in WAYS}
    first = _first(found["ours"], "blocked")
    rows = [
        _row("blocked by a save", blocked["ours"], "dcp.save", blocked["dcp.save"], GOAL_BLOCKED),
        _row("lost by a save in all", lost["ours"], "dcp.save", lost["dcp.save"], GOAL_LOST),
        _row("blocked by the first save", first, "later ones", blocked["ours"], GOAL_FIRST),
        _row("blocked by a save, above the copy itself", blocked["ours"], "memcpy", blocked["memcpy"], None),
    ]
    for way in WAYS[2:5]:
        rows.append(_row(f"blocked by a save, {way}", blocked[way], "dcp.save", blocked["dcp.save"], None))
        rows.append(_row(f"lost by a save in all, {way}", lost[way], "dcp.save", lost["dcp.save"], None))
    return rows


def _slow_rows(slow: Any) -> list[Row]:
    synchronous = STATE_BYTES / STORE_BYTES_PER_SECOND
    blocked = median([save["blocked"] for save in slow["saves"]])
    during = median([save["step_during"] for save in slow["saves"]])
    return [
        _row("blocked, store of 50 MB/s", blocked, "synchronous", synchronous, GOAL_SLOW_BLOCKED, "C3b"),
        _row("step during the upload", during, "usual step", slow["usual"], GOAL_SLOW_STEP, "C3b"),
    ]


def _row(what: str, value: float, against: str, base: float, goal: float | None, name: str = "C3") -> Row:
    return Row(
        id=name,
        what=what,
        value=f"{value * 1e3:.0f} ms",
        baseline=f"{against} {base * 1e3:.0f} ms",
        ratio=value / base,
        goal="" if goal is None else f"<= {goal}",
        met=None if goal is None else value / base <= goal,
    )


def _run(way: str, **extra: str) -> Any:
    with tempfile.TemporaryDirectory(prefix="stall-") as folder:
        start = ours(2) if way == "ours" else torchrun(2)
        worker = ["-m", "benchmarks.trainer.stall_worker", f"--way={way}", f"--folder={folder}"]
        return run_json([*start, *worker], environment(Path(folder) / "run", **extra))


def _run_slow() -> Any:
    with SlowStore(STORE_BYTES_PER_SECOND) as store:
        return _run("ours", FLEETFORM_CHECKPOINTS_URL="s3://checkpoints/run", **store.variables)
