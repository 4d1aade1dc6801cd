"""Start-up of the command: `fleetform --help` against an empty Python, in turn.

`python -m benchmarks.help [--repeats 10] [--json]`.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time

TARGET_SECONDS = 0.3
CONTESTANTS = {
    "fleetform --help": [sys.executable, "-m", "scripts.cli", "--help"],
    "python -c pass": [sys.executable, "-c", "pass"],
}


def seconds(argv: list[str]) -> float:
    """Run the command and return its wall seconds."""
    begin = time.perf_counter()
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begin


def main() -> int:
    """Print the medians; exit code 1 where the target is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    times: dict[str, list[float]] = {name: [] for name in CONTESTANTS}
    for _ in range(options.repeats + 1):  # the first warms the file cache
        for name, argv in CONTESTANTS.items():
            times[name].append(seconds(argv))
    medians = {name: statistics.median(values[1:]) for name, values in times.items()}
    ours = medians["fleetform --help"]
    if options.json:
        print(json.dumps({"seconds": medians, "target": TARGET_SECONDS}, indent=2))
    else:
        for name, value in medians.items():
            print(f"{name:<18} {value:6.3f} s")
        verdict = "met" if ours < TARGET_SECONDS else "MISSED"
        print(f"target: under {TARGET_SECONDS} s: {verdict}")
    return 0 if ours < TARGET_SECONDS else 1


if __name__ == "__main__":
    sys.exit(main())
