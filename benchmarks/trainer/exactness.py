"""C5: whether a run killed with `kill -9` ends in the same losses, bit for bit, and on the same samples.

Twenty seeds: each run of thirty steps on two processes is done once undisturbed and once with a kill at a
step and of a process drawn at random; then on one process, whose samples of each step must be those of the
two.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path

from benchmarks.trainer.launching import environment, ours
from benchmarks.trainer.results import Row

SEEDS = 20


def measure(seeds: int = SEEDS) -> list[Row]:
    """Return how many seeds ended the same."""
    with tempfile.TemporaryDirectory(prefix="exactness-") as name:
        root = Path(name)
        _run(root / "plain", 2, seeds)
        _run(root / "killed", 2, seeds, "--kill")
        _run(root / "alone", 1, seeds)
        kills = sum((root / "killed" / f"seed-{seed}" / "killed").exists() for seed in range(1, seeds + 1))
        exact = sum(_losses(root / "killed", seed) == _losses(root / "plain", seed) for seed in _seeds(seeds))
        same = sum(
            _samples(root / "alone", seed, 1) == _samples(root / "plain", seed, 2) for seed in _seeds(seeds)
        )
        close = max(_apart(root, seed) for seed in _seeds(seeds)[1::2])
    return [
        Row(
            id="C5",
            what="runs with the same losses, bit for bit, after a kill",
            value=f"{exact} of {seeds} ({kills} kills)",
            baseline="the run undisturbed",
            goal=f"{seeds} of {seeds}",
            met=exact == seeds == kills,
        ),
        Row(
            id="C5",
            what="runs with the same samples in each step on 1 process as on 2",
            value=f"{same} of {seeds}",
            goal=f"{seeds} of {seeds}",
            met=same == seeds,
        ),
        Row(
            id="C5",
            what="largest difference of a loss, 1 process against 2, over all steps",
            value=f"{close:.1e}",
            baseline="the seeds without dropout, whose draws are each process's own",
        ),
    ]


def _seeds(count: int) -> range:
    return range(1, count + 1)


def _run(folder: Path, processes: int, seeds: int, *options: str) -> None:
    worker = ["-m", "benchmarks.trainer.exactness_worker", f"--folder={folder}", f"--seeds={seeds}", *options]
    command = [*ours(processes, "--max-restarts=100"), *worker]
    subprocess.run(command, env=environment(), check=True, capture_output=True, timeout=560)


def _losses(root: Path, seed: int) -> list[tuple[int, float]]:
    lines = (root / f"seed-{seed}" / "metrics.jsonl").read_text().splitlines()
    return [(line["step"], line["loss"]) for line in map(json.loads, lines)]


def _samples(root: Path, seed: int, processes: int) -> dict[int, list[int]]:
    """Return the items of each step over all processes, in order."""
    found: dict[int, list[int]] = {}
    for rank in range(processes):
        for line in (root / f"seed-{seed}" / f"items-{rank}.jsonl").read_text().splitlines():
            each = json.loads(line)
            found.setdefault(each["step"], []).extend(each["items"])
    return found


def _apart(root: Path, seed: int) -> float:
    """Return by how much a loss of the run on one process differs from that on two, at most."""
    pairs = zip(_losses(root / "alone", seed), _losses(root / "plain", seed), strict=True)
    return max(abs(one[1] - two[1]) for one, two in pairs)
