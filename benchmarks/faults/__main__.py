"""Faults on purpose over the whole round trip: `python -m benchmarks.faults [--scenarios 200 --seed 7]`.

Each scenario is one fault in one phase of up, run or down; docs/faults.md says what must hold after it. What
is done is kept in a file, so an interrupted campaign goes on where it was, and a scenario is led again by
its seed and number alone (`--only`).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

from benchmarks.faults.disk import can_mount, namespace_command
from benchmarks.faults.ground import ROOT
from benchmarks.faults.results import Row, append, read_rows, tables
from benchmarks.faults.scenarios import SLOTS, draw, trips

SCENARIOS, SEED, WORKERS = 200, 7, 2
_TRIP_SECONDS = 3600.0


def lead(seed: int, numbers: Sequence[int], *, small_disk: bool) -> list[Row]:
    """Lead one round trip in a process of its own; return its scenarios, as far as they were led."""
    command = [sys.executable, "-m", "benchmarks.faults.trip", str(seed), *map(str, numbers)]
    if small_disk:
        command = [*namespace_command(), *command, "--small-disk"]
    done = subprocess.run(
        command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False, timeout=_TRIP_SECONDS
    )
    rows = [Row(**json.loads(line)) for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode:
        print(f"the round trip of {numbers} ended with {done.returncode}", file=sys.stderr, flush=True)
    return rows


def campaign(seed: int, numbers: Sequence[list[int]], results: Path, workers: int) -> None:
    """Lead the round trips that are not done yet, some at once; each is kept as it ends."""
    done, small_disk = read_rows(results, seed), can_mount()
    left = [[number for number in trip if number not in done] for trip in numbers]

    def one(trip: list[int]) -> None:
        begun = time.monotonic()
        rows = lead(seed, trip, small_disk=small_disk)
        if missing := [number for number in trip if number not in {row.number for row in rows}]:
            rows += lead(seed, missing, small_disk=small_disk)  # an up that came to nothing ends its trip
        append(results, rows)
        bad = sum(not row.good for row in rows)
        seconds = time.monotonic() - begun
        print(f"{trip[0]}-{trip[-1]}: {seconds:.0f} s, {bad} did not hold", file=sys.stderr, flush=True)

    with ThreadPoolExecutor(max_workers=workers) as pool:
        list(pool.map(one, filter(None, left)))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults", description=__doc__)
    parser.add_argument("--scenarios", type=int, default=SCENARIOS, metavar="N")
    parser.add_argument("--seed", type=int, default=SEED, metavar="N")
    parser.add_argument("--from", dest="first", type=int, default=0, metavar="N", help="number of the first")
    parser.add_argument("--only", type=int, metavar="N", help="this one alone, again")
    parser.add_argument("--smoke", action="store_true", help="one round trip")
    parser.add_argument("--workers", type=int, default=WORKERS, metavar="N", help="round trips at once")
    parser.add_argument("--results", type=Path, metavar="FILE", help="where what is done is kept")
    parser.add_argument("--table", action="store_true", help="print the tables of what is done, and no more")
    parser.add_argument("--list", action="store_true", help="print the scenarios, and lead none")
    parser.add_argument("--json", action="store_true", help="print the scenarios as JSON")
    return parser.parse_args()


def main() -> int:
    """Run the campaign; the exit code is 1 where something did not hold or is missing."""
    options = _options()
    count = len(SLOTS) if options.smoke else 1 if options.only is not None else options.scenarios
    first = options.first if options.only is None else options.only
    if options.list:
        print("\n".join(str(draw(options.seed, number)) for number in range(first, first + count)))
        return 0
    kept = Path(tempfile.gettempdir()) / f"fleetform-faults-{options.seed}.jsonl"
    results = options.results or kept
    if options.only is not None:
        with tempfile.TemporaryDirectory() as folder:
            results = Path(folder) / "only.jsonl"
            return _lead_and_show(options, first, count, results)
    return _lead_and_show(options, first, count, results)


def _lead_and_show(options: argparse.Namespace, first: int, count: int, results: Path) -> int:
    if not options.table:
        campaign(options.seed, trips(first, count), results, options.workers)
    done = read_rows(results, options.seed)
    rows = [done[number] for number in range(first, first + count) if number in done]
    if options.json:
        print(json.dumps([asdict(row) for row in rows], indent=2, ensure_ascii=False))
    else:
        print(f"seed {options.seed}, scenarios {first} to {first + count - 1}")
        print(tables(rows) if rows else "none is done")
        good = sum(row.good for row in rows)
        print(f"\n{len(rows)} of {count} done, {good} of them with everything as it must be")
    return 0 if len(rows) == count and all(row.good for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
