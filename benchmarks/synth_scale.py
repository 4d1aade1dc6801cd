"""Synthesis of many environments: 1, 10 and 100, seconds and memory, and one environment among many.

`python -m benchmarks.synth_scale [--repeats 3] [--json]`. Each run is a process of its own. What grows
linearly costs as much for each environment at 100 as at 10; and whoever plans one environment does not pay
for the others in the folder, whose stacks are not made.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COUNTS = (1, 10, 100)
LINEAR_TARGET = 1.5
"""Seconds for each further environment from 10 to 100, over those from 1 to 10: 1 where it grows linearly."""
ALONE_TARGET = 1.5
"""Seconds for one environment among a hundred, over those of one in a folder of its own."""
ENVIRONMENT = """\
name = "{name}"
team = "{name}"
owner = "{name}@example.com"
region = "us-east-1"
lease_ends = 2035-12-31

[network]
cidr = "10.{block}.0.0/16"

[fleets.gpu]
instance_type = "g5.xlarge"
nodes = 2
max_nodes = 4

[fleets.large]
instance_type = "p4d.24xlarge"
nodes = 0
max_nodes = 2
"""
ACCOUNT = 'organization = "bench-org"\nregion = "us-east-1"\n\n[lease]\nmax_days = 3660\n'


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One way of synthesizing."""

    declared: int
    """Environments in the folder."""
    made: int
    """Environments whose stacks were made."""
    seconds: float
    mib: float
    """The most memory that Python and CDKTF's process had together."""

    @property
    def seconds_each(self) -> float:
        """Seconds for each environment that was made, with its share of the start."""
        return self.seconds / self.made


def further(fewer: Figure, more: Figure) -> float:
    """Return the seconds of each environment that the second has more than the first; noise below 0."""
    return (more.seconds - fewer.seconds) / (more.made - fewer.made)


def declare(folder: Path, count: int) -> Path:
    """Write a folder of that many environments and return it."""
    folder.mkdir(parents=True)
    (folder / "account.toml").write_text(ACCOUNT, encoding="utf-8")
    for number in range(count):
        name = f"team{number:03}"
        text = ENVIRONMENT.format(name=name, block=number)
        (folder / f"{name}.toml").write_text(text, encoding="utf-8")
    return folder


def synthesize(environments: Path, *names: str) -> tuple[float, float]:
    """Synthesize in a process of its own; return its seconds and the most MiB of it and its children."""
    with tempfile.TemporaryDirectory() as out:
        options = [word for name in names for word in ("--environment", name)]
        words = ["-m", "stacks.app", "--environments", str(environments), "--out", out, *options]
        begin = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, *words], env={**os.environ, "PYTHONPATH": str(ROOT)}, cwd=ROOT
        )
        most = 0.0
        while process.poll() is None:
            most = max(most, _resident(process.pid))
            time.sleep(0.02)
        assert process.returncode == 0, "the synthesis failed"
        return time.perf_counter() - begin, most


def _resident(root: int) -> float:
    """Return the MiB of memory that a process and all its descendants hold now."""
    total, waiting = 0.0, [root]
    while waiting:
        pid = waiting.pop()
        try:
            status = Path(f"/proc/{pid}/status").read_text()
            waiting += map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
        except OSError:  # it has just ended
            continue
        found = re.search(r"^VmRSS:\s+(\d+) kB", status, re.MULTILINE)
        total += int(found.group(1)) / 1024 if found else 0.0
    return total


def main() -> int:
    """Run the benchmark; the exit code is 1 where a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3, help="runs of each, interleaved; the median counts")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        folders = {count: declare(Path(folder) / str(count), count) for count in COUNTS}
        ways = [(count, ()) for count in COUNTS] + [(COUNTS[-1], ("team042",))]
        runs: dict[int, list[tuple[float, float]]] = {way: [] for way in range(len(ways))}
        for _ in range(arguments.repeats):
            for way, (count, names) in enumerate(ways):
                runs[way].append(synthesize(folders[count], *names))
    figures = [
        Figure(
            declared=count,
            made=len(names) or count,
            seconds=statistics.median(seconds for seconds, _ in runs[way]),
            mib=statistics.median(mib for _, mib in runs[way]),
        )
        for way, (count, names) in enumerate(ways)
    ]
    one, ten, hundred, among = figures
    few, many = further(one, ten), further(ten, hundred)
    linear = many / few if few > 0 else math.inf
    alone = among.seconds / one.seconds
    if arguments.json:
        shown = [{**asdict(each), "seconds_each": each.seconds_each} for each in figures]
        sums = {"further_few": few, "further_many": many, "alone": alone}
        print(json.dumps({"figures": shown, "linear": linear if few > 0 else None, **sums}))
    else:
        print(f"{'declared':>8}  {'made':>5}  {'seconds':>8}  {'s each':>7}  {'MiB':>6}")
        for each in figures:
            row = f"{each.declared:8}  {each.made:5}  {each.seconds:8.2f}  {each.seconds_each:7.3f}"
            print(f"{row}  {each.mib:6.0f}")
        print(f"each further environment: {few:.3f} s from 1 to 10, {many:.3f} s from 10 to 100")
        if few <= 0:
            print("ten took no longer than one: that is noise, run it again on a quieter machine")
        print(f"each further environment, 10 to 100 over 1 to 10: {linear:.2f} (target {LINEAR_TARGET})")
        print(f"one among 100 over one alone: {alone:.2f} (target {ALONE_TARGET})")
    return 0 if linear <= LINEAR_TARGET and alone <= ALONE_TARGET else 1


if __name__ == "__main__":
    sys.exit(main())
