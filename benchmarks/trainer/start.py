"""C9: how much later than a bare script our engine does its first step, and what importing it costs.

Both scripts build the same tiny model and end after one step; each runs on its own, as `python script.py`,
in an order drawn anew each round. From the start of the process to its first step, by the script's own
word.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.trainer.launching import environment
from benchmarks.trainer.results import Row, interleaved, median

GOAL_SECONDS = 0.2
ROUNDS = 8
SCRIPTS = {
    "ours": ["-m", "benchmarks.trainer.start_worker", "ours"],
    "bare": ["-m", "benchmarks.trainer.start_worker", "bare"],
    "import trainer.run": ["-m", "benchmarks.trainer.start_worker", "import-run"],
    "import torch": ["-m", "benchmarks.trainer.start_worker", "import-torch"],
}


def measure(rounds: int = ROUNDS) -> list[Row]:
    """Return both differences."""
    seconds: dict[str, list[float]] = {name: [] for name in SCRIPTS}
    for name in interleaved(list(SCRIPTS), rounds, seed=9):
        seconds[name].append(_first_step(SCRIPTS[name]))
    best = {name: (min(values), median(values)) for name, values in seconds.items()}
    return [
        _row("start to first step", best["ours"], "bare script", best["bare"]),
        _row("import of trainer.run", best["import trainer.run"], "import torch", best["import torch"]),
    ]


def _row(what: str, mine: tuple[float, float], against: str, base: tuple[float, float]) -> Row:
    return Row(
        id="C9",
        what=what,
        value=f"{mine[0]:.2f} s (median {mine[1]:.2f})",
        baseline=f"{against} {base[0]:.2f} s (median {base[1]:.2f})",
        ratio=mine[0] / base[0],
        goal=f"<= {GOAL_SECONDS} s more",
        met=mine[0] - base[0] <= GOAL_SECONDS,
    )


def _first_step(script: list[str]) -> float:
    with tempfile.TemporaryDirectory(prefix="start-") as folder:
        command = [sys.executable, *script]
        result = subprocess.run(
            command, env=environment(Path(folder)), capture_output=True, text=True, check=True
        )
    lines = [line for line in result.stdout.splitlines() if line.startswith("{")]
    return float(json.loads(lines[-1])["seconds"])
