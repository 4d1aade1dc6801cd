"""Acts on a run in the queue, on the head node: cancel, hold, release, requeue; under Slurm alone.

`python -m node.queue --act ACT --run-id ID --team TEAM`. Exit code 0 where it was done, 1 with the reason
where it was refused, 75 where the clerk does not answer.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from node.slurm.client import order, say
from node.submit import scheduler

ACTS = ("cancel", "hold", "release", "requeue")


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(prog="node.queue")
    parser.add_argument("--act", required=True, choices=ACTS)
    parser.add_argument("--run-id", required=True)
    parser.add_argument("--team", default="")
    told = parser.parse_args(arguments)
    if scheduler() != "slurm":
        return say((False, f"{told.act}: runs of the plain engine have no queue; it works under Slurm"))
    return order(told.act, told.run_id, told.team)


if __name__ == "__main__":
    sys.exit(main())
