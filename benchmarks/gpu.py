"""The trainer on one GPU: `python -m benchmarks.gpu [G0 G1a G1b G1c G3 G4 G5 ...] [--json] [--smoke]`.

Each benchmark ends within ten minutes, so that one a call can be run where calls are short. G0, whether the
arithmetic is right, and G5, the device's ceiling, come with every call. `--smoke` runs all of it small, on
a CPU: its figures mean nothing, but that it runs does.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import time
from collections.abc import Callable, Mapping

import torch

from benchmarks.on_gpu import cases, ceiling, correctness, restart, stall, throughput
from benchmarks.trainer.results import Row, table

NAMES = ("G1a", "G1b", "G1c", "G3", "G4")
REPEATS = 30


def main() -> int:
    """Measure what was named, or everything; 0 where every goal is met, 2 where there is no GPU."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="ID", help=", ".join(("G0", *NAMES, "G5")))
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    parser.add_argument("--smoke", action="store_true", help="small and on the CPU: does it run?")
    options = parser.parse_args()
    if unknown := set(options.names) - {"G0", "G5", *NAMES}:
        parser.error(f"no benchmark {', '.join(sorted(unknown))}")
    if not options.smoke and not torch.cuda.is_available():
        print("error: there is no GPU here; --smoke runs all of it small on the CPU", file=sys.stderr)
        return 2
    rows = run(options.names or NAMES, smoke=options.smoke)
    print(json.dumps([dataclasses.asdict(row) for row in rows], indent=1) if options.json else table(rows))
    return 0 if options.smoke or all(row.met is not False for row in rows) else 1


def run(names: tuple[str, ...] | list[str], *, smoke: bool) -> list[Row]:
    """Return the rows of the named benchmarks, after those of G0 and G5."""
    device = torch.device("cpu" if smoke else "cuda")
    rows = correctness.measure(device)
    assert all(row.met for row in rows), f"the arithmetic is wrong: {table(rows)}"
    shapes = ceiling.SMOKE_SHAPES if smoke else ceiling.SHAPES
    best = ceiling.find_ceiling(device, 2 if smoke else REPEATS, shapes)
    rows.append(Row(id="G5", what="ceiling", value=best.text(), baseline="ML Engineering: 794.5 (H100)"))
    for name, measure in _benchmarks(device, best, smoke).items():
        if name in names:
            begin = time.monotonic()
            found = measure()
            print(f"{name}: {time.monotonic() - begin:.0f} s\n{table(found)}", file=sys.stderr, flush=True)
            rows += found
    return rows


def _benchmarks(
    device: torch.device, best: ceiling.Ceiling, smoke: bool
) -> Mapping[str, Callable[[], list[Row]]]:
    def of_case(name: str) -> list[Row]:
        chosen = [cases.SMOKE] if smoke else [case for case in cases.CASES if case.id == name]
        blocks = 1 if smoke else throughput.BLOCKS
        return [row for case in chosen for row in throughput.measure(case, device, best, blocks=blocks)]

    return {
        **{name: lambda name=name: of_case(name) for name in ("G1a", "G1b", "G1c")},
        "G3": lambda: stall.measure(smoke=smoke),
        "G4": lambda: restart.measure(smoke=smoke),
    }


if __name__ == "__main__":
    sys.exit(main())
