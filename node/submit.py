"""Starts a run on the head node: through the clerk where Slurm deals out the nodes, else by our dispatcher.

`python -m node.submit --run-id ID --team TEAM`. Exit code 0 where the run was taken (with the plain engine:
where it has succeeded), 1 with the reason where not. Nothing is loaded that the clerk has loaded already.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence

from node.slurm.client import order


def scheduler() -> str:
    """Return who deals out the nodes here: `slurm` or `plain`; an emulated machine follows its sandbox."""
    told = os.environ.get("FLEETFORM_SCHEDULER")
    if told:
        return told
    root = os.environ.get("FLEETFORM_ROOT") or ""
    with open(f"{root}/etc/fleetform/node.json") as file:  # noqa: PTH123 - pathlib takes a while to load
        return str(json.load(file).get("scheduler") or "plain")


def main(arguments: Sequence[str] | None = None) -> int:
    """Start the run that the command line names."""
    parser = argparse.ArgumentParser(prog="node.submit")
    parser.add_argument("--run-id", required=True)
    parser.add_argument("--team", default="")
    told = parser.parse_args(arguments)
    if scheduler() == "slurm":
        return order("submit", told.run_id, told.team)
    command = [sys.executable, "-m", "node.dispatch", "--run-id", told.run_id]
    os.execv(sys.executable, command)  # noqa: S606 - no shell is the point
    raise AssertionError("exec does not return")


if __name__ == "__main__":
    sys.exit(main())
