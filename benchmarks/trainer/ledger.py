"""C8: whether the ledger of a run with kills, slow data and evaluations says what truly became of its time.

A job of two processes writes down itself how long each act took; several kills cut it off. The ledger's
buckets have to sum to the wall time, and those whose truth is known (steps that counted, steps done again,
data, evaluations, from a kill until training went on) have to match it.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.trainer.launching import environment, ours
from benchmarks.trainer.results import Row

GOAL_SUM, GOAL_BUCKET = 0.005, 0.02
STEPS, KILLS = 600, 6
_DETAIL_SECONDS = 0.2
"""A bucket that is off by less is right: a truth of a few seconds has no per mille."""


def measure(steps: int = STEPS, kills: int = KILLS) -> list[Row]:
    """Return how far the ledger's sum and buckets are off."""
    with tempfile.TemporaryDirectory(prefix="ledger-") as name:
        folder = Path(name)
        worker = ["-m", "benchmarks.trainer.ledger_worker", f"--folder={folder}"]
        command = [*ours(2, "--max-restarts=100"), *worker, f"--steps={steps}", f"--kills={kills}"]
        begin = time.monotonic()
        subprocess.run(command, env=environment(folder / "run"), check=True, capture_output=True, timeout=560)
        wall = time.monotonic() - begin
        ledger = json.loads((folder / "run" / "goodput.json").read_text())
        truth = [json.loads(line) for line in (folder / "truth.jsonl").read_text().splitlines()]
    off = abs(sum(ledger["buckets"].values()) / ledger["wall_seconds"] - 1)
    rows = [
        Row(
            id="C8",
            what="sum of the buckets against the ledger's wall time",
            value=f"{off:.3%} off",
            baseline=f"{ledger['wall_seconds']:.1f} s (the launcher's process: {wall:.1f} s)",
            goal=f"<= {GOAL_SUM:.1%}",
            met=off <= GOAL_SUM,
        )
    ]
    for bucket, seconds in true_buckets(truth).items():
        rows.append(_bucket_row(bucket, ledger["buckets"][bucket], seconds))
    return rows


def _bucket_row(bucket: str, told: float, true: float) -> Row:
    off = abs(told - true) / true
    return Row(
        id="C8",
        what=f"bucket {bucket}",
        value=f"{told:.2f} s",
        baseline=f"truth {true:.2f} s",
        ratio=told / true,
        goal=f"within {GOAL_BUCKET:.0%}",
        met=off <= GOAL_BUCKET or abs(told - true) <= _DETAIL_SECONDS,
    )


def true_buckets(truth: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Return the seconds of each bucket whose truth the job has written down.

    A step counts where it was the last one of its number; the others are wasted. What was waited for data is
    data's, whether the step counted or not.
    """
    last = {line["step"]: index for index, line in enumerate(truth) if line["act"] == "step"}
    buckets = {"productive": 0.0, "wasted_progress": 0.0, "data_loading": 0.0, "evaluation": 0.0}
    for index, line in enumerate(truth):
        if line["act"] == "step":
            buckets["productive" if last[line["step"]] == index else "wasted_progress"] += line["seconds"]
        elif line["act"] == "data":
            buckets["data_loading"] += line["seconds"]
        elif line["act"] == "evaluation":
            buckets["evaluation"] += line["seconds"]
    return buckets
