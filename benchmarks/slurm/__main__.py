"""The cluster under load and under fire: `python -m benchmarks.slurm [S1 S2 ...] [--rounds N] [--json]`.

Nothing else should run meanwhile; Slurm's programs must be there. What a benchmark means, and its goal, is
in the docstring of its module.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import json
import sys
import time
from typing import Any

from benchmarks.trainer.results import Row, table
from tests.slurm_cluster import slurm_is_installed

MODULES = {
    "S1": "submit",
    "S2": "node_killed",
    "S3": "controller",
    "S4": "elastic",
    "S5": "scale",
}
WITH_ROUNDS = ("S1", "S2", "S3")


def main() -> int:
    """Measure what was named, or everything; 0 where every goal is met, 2 where Slurm is missing."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.slurm", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="ID", help=", ".join(MODULES))
    parser.add_argument("--rounds", type=int, help=f"rounds of {', '.join(WITH_ROUNDS)}, fewer for a look")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    options = parser.parse_args()
    if unknown := [name for name in options.names if name not in MODULES]:
        parser.error(f"no benchmark {', '.join(unknown)}; there are {', '.join(MODULES)}")
    if not slurm_is_installed():
        print("error: Slurm is missing: apt-get install slurm-wlm munge", file=sys.stderr)
        return 2
    rows: list[Row] = []
    for name in options.names or MODULES:
        begin = time.monotonic()
        rounds: dict[str, Any] = {"rounds": options.rounds} if options.rounds and name in WITH_ROUNDS else {}
        found = importlib.import_module(f"benchmarks.slurm.{MODULES[name]}").measure(**rounds)
        rows += found
        seconds = time.monotonic() - begin
        print(f"{name}: {seconds:.0f} s\n{table(found)}", file=sys.stderr, flush=True)
    print(json.dumps([dataclasses.asdict(row) for row in rows], indent=1) if options.json else table(rows))
    return 0 if all(row.met is not False for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
