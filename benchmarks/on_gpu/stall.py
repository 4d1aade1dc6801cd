"""G3: how long a save of a 1.3B model (16 GB of state) blocks training, and how far the rate dips."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from benchmarks.trainer.launching import environment, ours, run_json, torchrun
from benchmarks.trainer.results import Row, median

GOAL_BLOCKED, GOAL_DIP = 0.3, 0.03
WAYS = ("ours", "thread", "process")


def measure(*, smoke: bool = False) -> list[Row]:
    """Return the rows of ours and of dcp.async_save with a thread and with a process."""
    found = {way: _run(way, smoke) for way in WAYS}
    rows = []
    for way, result in found.items():
        mine = way == "ours"
        name = "ours" if mine else f"dcp.async_save {way}"
        blocked = median([save["blocked"] for save in result["saves"][1:]])
        during = [seconds for save in result["saves"] for seconds in save["during"]]
        dip = 1 - result["usual"] / median(during) if during else 0.0
        rows += [
            Row(
                id="G3",
                what=f"blocked by a save of 16 GB, {name}",
                value=f"{blocked:.3f} s (first {result['saves'][0]['blocked']:.2f})",
                goal=f"<= {GOAL_BLOCKED} s" if mine else "",
                met=blocked <= GOAL_BLOCKED if mine else None,
            ),
            Row(
                id="G3",
                what=f"dip of the rate while it is written, {name}",
                value=f"{dip:.1%} over {len(during)} steps",
                baseline=f"usual step {result['usual'] * 1e3:.0f} ms",
                goal=f"<= {GOAL_DIP:.0%}" if mine else "",
                met=dip <= GOAL_DIP if mine else None,
            ),
        ]
    return rows


def _run(way: str, smoke: bool) -> Any:
    with tempfile.TemporaryDirectory(prefix="gpu-stall-") as folder:
        start = ours(1) if way == "ours" else torchrun(1)
        worker = ["-m", "benchmarks.on_gpu.stall_worker", f"--way={way}", f"--folder={folder}"]
        command = [*start, *worker, *(["--smoke"] if smoke else [])]
        return run_json(command, environment(Path(folder) / "run", OMP_NUM_THREADS="4"))
