"""The trainer against its peers on this machine's cores: `python -m benchmarks.trainer [C1 C2 ...] [--json]`.

Nothing else should run meanwhile. Every figure stands beside a baseline of the same run; what a benchmark
means, and its goal, is in the docstring of its module.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import json
import subprocess
import sys
import time
from collections.abc import Callable

from benchmarks.trainer.results import Row, table

MODULES = {
    "C1": "overhead",
    "C2": "halving",
    "C3": "stall",
    "C4": "restart",
    "C5": "exactness",
    "C6": "loader",
    "C7": "preemption",
    "C8": "ledger",
    "C9": "start",
}


def main() -> int:
    """Measure what was named, or everything; 0 where every goal is met."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.trainer", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="ID", help=", ".join(MODULES))
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    options = parser.parse_args()
    if unknown := [name for name in options.names if name not in MODULES]:
        parser.error(f"no benchmark {', '.join(unknown)}; there are {', '.join(MODULES)}")
    rows: list[Row] = []
    for name in options.names or MODULES:
        begin = time.monotonic()
        found = _measure(name)
        rows += found
        seconds = time.monotonic() - begin
        print(f"{name}: {seconds:.0f} s\n{table(found)}", file=sys.stderr, flush=True)
    print(json.dumps([dataclasses.asdict(row) for row in rows], indent=1) if options.json else table(rows))
    return 0 if all(row.met is not False for row in rows) else 1


def _measure(name: str) -> list[Row]:
    """Return the benchmark's rows; one that breaks is a missed goal, and the others still run."""
    module = importlib.import_module(f"benchmarks.trainer.{MODULES[name]}")
    measure: Callable[[], list[Row]] = module.measure
    try:
        return measure()
    except (RuntimeError, subprocess.SubprocessError) as error:
        print(error, file=sys.stderr)
        return [Row(id=name, what="could not be measured", value=type(error).__name__, met=False)]


if __name__ == "__main__":
    sys.exit(main())
