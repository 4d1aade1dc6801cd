"""Runs the benchmarks one after the other and writes docs/benchmarks.md: `python -m benchmarks [NAME ...]`.

A name runs that one alone and keeps the others' last tables. Nothing else should run on the machine then.
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "benchmarks.md"
BENCHMARKS = {
    "help": "Start-up of the command",
    "synth": "Synthesis of one environment",
    "synth_scale": "Synthesis of many environments",
    "up": "Building an environment",
    "cycles": "Six environments, from nothing to nothing",
    "faults": "Faults on purpose over the whole round trip",
    "submit": "Submit to first training step",
    "run_index": "Ten thousand runs",
    "ledger": "A ledger of a million entries",
    "console": "The console with very much behind it",
    "scaling": "One process against two",
    "trainer": "The trainer beside a bare loop and its peers",
    "recipes": "Every recipe from raw data to a prediction",
    "slurm": "The cluster under load and under fire",
}
HEAD = """\
# Benchmarks

Every figure is a ratio against a baseline that was measured in the same run. `make bench` (or `python -m
benchmarks`, or one alone: `python -m benchmarks NAME`) measures again and writes this page.
"""


def machine() -> str:
    """Return the machine in a line."""
    system = f"{platform.system()} {platform.machine()}"
    return f"{os.cpu_count()} cores, {system}, Python {platform.python_version()}"


def measure(name: str) -> str:
    """Run one benchmark and return its section of the page."""
    print(f"== {name}", flush=True)
    command = [sys.executable, "-m", f"benchmarks.{name}"]
    result = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    print(result.stdout, flush=True)
    when = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d")
    about = f"`python -m benchmarks.{name}`, {when}, {machine()}"
    verdict = "" if result.returncode == 0 else f", exit code {result.returncode}"
    return f"## {BENCHMARKS[name]}\n\n{about}{verdict}:\n\n```\n{result.stdout.strip()}\n```\n"


def sections() -> dict[str, str]:
    """Return the page's present sections by benchmark."""
    text = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
    parts = re.split(r"^(?=## )", text, flags=re.MULTILINE)[1:]
    titles = {title: name for name, title in BENCHMARKS.items()}
    found = {titles.get(part.splitlines()[0].removeprefix("## ")): part.rstrip() + "\n" for part in parts}
    return {name: part for name, part in found.items() if name}


def main() -> int:
    """Measure what was named, or everything, and write the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BENCHMARKS))
    names = parser.parse_args().names or list(BENCHMARKS)
    if unknown := [name for name in names if name not in BENCHMARKS]:
        parser.error(f"no benchmark named {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}")
    page = sections()
    for name in names:
        page[name] = measure(name)
    PAGE.write_text("\n".join([HEAD, *(page[name] for name in BENCHMARKS if name in page)]), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
