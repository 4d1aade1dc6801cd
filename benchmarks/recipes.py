"""Every recipe from raw data to a prediction, in the embedded cloud: `python -m benchmarks.recipes`.

Each is run as a user runs it: `fleetform run ENV --recipe NAME --nodes 2`, `fleetform fetch`, then the
predictor on an input of the kind that it asks for. The table has the held-out figure with its interval
beside the trivial baseline and what well-known methods reach on the same held-out data, measured where the
data was prepared.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fleet.cloud import choose_cloud
from fleet.declare import declare
from fleet.project import Project
from fleet.runs import list_runs
from sandbox import daemon
from tests.run_environment import INSTANCE_TYPE, REGION, build
from trainer.config import recipe_names

ROOT = Path(__file__).resolve().parent.parent
NODES = 2
NOT_ALONE = {"finetune": "wants a model of your own: tests/test_text_finetune.py makes one on the spot"}
"""Recipes that cannot run without something of the user's."""
INPUTS = {"text-class": ("for name in self._tests: self.assertEqual(name, other)",)}
"""What the predictors are asked that do not show held-out items by themselves."""


def main() -> int:
    """Run the recipes and print the table; 0 where each beats its baseline."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.recipes", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(recipe_names()))
    names = parser.parse_args().names or [name for name in recipe_names() if name not in NOT_ALONE]
    with tempfile.TemporaryDirectory() as folder:
        rows = run_all(Path(folder), names)
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    for name, why in NOT_ALONE.items():
        print(f"{name}: {why}")
    return 0 if all(row[-1] != "NO" for row in rows) else 1


def run_all(root: Path, names: list[str]) -> list[tuple[str, ...]]:
    """Return the table of the recipes, its head first; the cloud stands as long as that takes."""
    declare(
        root, "bench", team="bench", owner="bench@example.com", region=REGION,
        instance_type=INSTANCE_TYPE, nodes=NODES, organization="run-tests",
    )  # fmt: skip
    project = Project(root=root, home=root / ".fleetform")
    project.home.mkdir()
    daemon.start(project.home)
    rows: list[tuple[str, ...]] = [
        (
            "recipe",
            "metric",
            "held-out",
            "95 % interval",
            "baseline",
            "references",
            "seconds",
            "predicts",
            "better",
        )
    ]
    try:
        environment = build(choose_cloud(project, "sandbox"), project, "bench", NODES)
        for name in names:
            begin = time.monotonic()
            fleetform(
                project,
                "run",
                "bench",
                "--recipe",
                name,
                "--nodes",
                str(NODES),
                "--procs-per-node",
                "1",
                "--follow",
            )
            run = list_runs(environment.store, limit=1)[0].run_id
            fleetform(project, "fetch", "bench", run, "--to", str(root / name))
            rows.append(row_of(name, find_folder(root / name), time.monotonic() - begin))
            print(" | ".join(rows[-1]), file=sys.stderr, flush=True)
    finally:
        daemon.stop(project.home)
    return rows


def fleetform(project: Project, *words: str) -> None:
    """Run a command as a user does."""
    variables = {**os.environ, "FLEETFORM_HOME": str(project.home), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "scripts.cli", *words, "--cloud", "sandbox"]
    subprocess.run(command, cwd=project.root, env=variables, check=True, stdout=subprocess.DEVNULL)


def find_folder(fetched: Path) -> Path:
    """Return the run directory below what was fetched."""
    return next(iter(sorted(fetched.rglob("evaluation.json")))).parent


def row_of(name: str, run_dir: Path, seconds: float) -> tuple[str, ...]:
    """Return a recipe's line of the table."""
    evaluation = json.loads((run_dir / "evaluation.json").read_text())
    metric, entry = next(iter(evaluation["metrics"].items()))
    baseline = evaluation["baseline"]["metrics"].get(metric)
    references = [
        f"{each['name']} {each['metrics'][metric]['value']:.4g}"
        for each in evaluation.get("references") or []
        if metric in each["metrics"]
    ]
    interval = f"{entry['low']:.4g} to {entry['high']:.4g}" if "low" in entry else "-"
    smaller_is_better = any(word in metric for word in ("loss", "bits", "error", "mae"))
    better = None if baseline is None else (entry["value"] < baseline["value"]) == smaller_is_better
    return (
        name,
        metric,
        f"{entry['value']:.4g}",
        interval,
        "-" if baseline is None else f"{evaluation['baseline']['name']} {baseline['value']:.4g}",
        ", ".join(references) or "-",
        f"{seconds:.0f}",
        predict(run_dir / "model", INPUTS.get(name, ())),
        "" if better is None else ("yes" if better else "NO"),
    )


def predict(model: Path, inputs: Sequence[str]) -> str:
    """Return what the finished model says of these inputs, or of held-out examples, shortened."""
    command = [sys.executable, "-m", "trainer.predict", str(model), "--json"]
    if inputs:
        command += ["--input", json.dumps(list(inputs))]
    variables = {**os.environ, "PYTHONPATH": str(ROOT)}
    result = subprocess.run(command, env=variables, capture_output=True, text=True, check=True)
    answer: Any = json.loads(result.stdout)
    text = json.dumps(answer)
    return text if len(text) < 60 else text[:57] + "..."


if __name__ == "__main__":
    sys.exit(main())
