"""Synthesis of one environment: our typed layer against the prebuilt provider classes, the same resources.

`python -m benchmarks.synth [--repeats 3] [--json]`. Each run is a process of its own, started from nothing,
as a command would; the two ways take turns, and the median counts. Before that it is checked that both wrote
the same resources with the same arguments.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENT = "vision"
TARGET_SECONDS = 2.0
TARGET_RATIO = 8.0


@dataclass(frozen=True)
class Run:
    """What one process took."""

    wall: float
    """Seconds from start to end; longer where others use the machine."""
    cpu: float
    """Seconds of processor time, of Node.js under CDKTF too."""


def run(module: str, *arguments: str) -> Run:
    """Run a module as a process of its own and return what it took."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    started, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-m", module, *arguments], cwd=ROOT, env=environment, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Run(time.perf_counter() - started, cpu)


def ours(out: Path) -> Run:
    """Synthesize with the typed layer."""
    return run("stacks.app", "--environment", ENVIRONMENT, "--out", str(out))


def prebuilt(source: Path, out: Path) -> Run:
    """Synthesize what lies below `source` with the prebuilt classes."""
    return run("benchmarks.synth_prebuilt", str(source), str(out))


def elements(out: Path) -> dict[str, Any]:
    """Return every resource and data source by stack and address, with its arguments."""
    found = {}
    for file in sorted(out.glob("stacks/*/cdk.tf.json")):
        content = json.loads(file.read_text(encoding="utf-8"))
        for section in ("resource", "data"):
            for kind, named in content.get(section, {}).items():
                for name, body in named.items():
                    address = f"{file.parent.name}: {section}.{kind}.{name}"
                    found[address] = {key: value for key, value in body.items() if key != "//"}
    return found


def same(one: Any, other: Any) -> bool:
    """Tell whether two arguments are one to Terraform, to which a block is the same as a list of one."""
    if isinstance(one, list) != isinstance(other, list):
        one, other = (value if isinstance(value, list) else [value] for value in (one, other))
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    return bool(one == other)


def measure(repeats: int, work: Path) -> dict[str, Any]:
    """Return the seconds of every run and what was compared."""
    ours(work / "ours")
    prebuilt(work / "ours", work / "prebuilt")
    mine, theirs = elements(work / "ours"), elements(work / "prebuilt")
    assert mine.keys() == theirs.keys(), mine.keys() ^ theirs.keys()
    differing = [address for address in mine if not same(mine[address], theirs[address])]
    assert not differing, {address: (mine[address], theirs[address]) for address in differing}
    runs: dict[str, list[Run]] = {"ours": [], "prebuilt": []}
    for _ in range(repeats):
        runs["ours"].append(ours(work / "ours"))
        runs["prebuilt"].append(prebuilt(work / "ours", work / "prebuilt"))
    wall = {name: statistics.median(each.wall for each in values) for name, values in runs.items()}
    return {
        "resources": len(mine),
        "types": len({address.split(": ")[1].rpartition(".")[0] for address in mine}),
        "runs": {name: [asdict(each) for each in values] for name, values in runs.items()},
        "wall": wall,
        "cpu": {name: statistics.median(each.cpu for each in values) for name, values in runs.items()},
        "ratio": wall["prebuilt"] / wall["ours"],
        "met": wall["ours"] < TARGET_SECONDS and wall["prebuilt"] / wall["ours"] >= TARGET_RATIO,
    }


def table(result: dict[str, Any]) -> str:
    """Return the result for a person."""
    lines = [
        f"{ENVIRONMENT}, 3 stacks: {result['resources']} resources and data sources, {result['types']} types",
        f"{'way':<28}{'wall s':>8}{'cpu s':>8}   wall of each run",
    ]
    for name, title in {"ours": "stacks/aws (typed layer)", "prebuilt": "prebuilt provider classes"}.items():
        each = "  ".join(f"{one['wall']:.2f}" for one in result["runs"][name])
        lines.append(f"{title:<28}{result['wall'][name]:>8.2f}{result['cpu'][name]:>8.2f}   {each}")
    lines.append(
        f"{result['ratio']:.1f} times faster (target {TARGET_RATIO:.0f}), in {result['wall']['ours']:.2f} s "
        f"(target {TARGET_SECONDS:.0f}): {'met' if result['met'] else 'MISSED'}"
    )
    return "\n".join(lines)


def main() -> int:
    """Measure and print; return 1 where a target is missed."""
    parser = argparse.ArgumentParser(description="Time the synthesis of one environment, two ways.")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each (3)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of the table")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        result = measure(options.repeats, Path(work))
    print(json.dumps(result) if options.json else table(result))
    return 0 if result["met"] else 1


if __name__ == "__main__":
    sys.exit(main())
