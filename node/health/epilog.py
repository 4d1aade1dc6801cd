"""What Slurm runs as root on each node of a job after it: `python -m node.health.epilog`.

It looks for what a job brings to light: a full disk, one that has become read-only, errors of a GPU. Such a
node is drained with the reason, so that no other job meets it. The exit code is 0 all the same: another would
make Slurm drain it too, without our reason.
"""

from __future__ import annotations

import os
import sys

from node.cluster.machine import read_machine
from node.config import read_node_config
from node.health.checks import AFTER, look
from node.health.here import drain, this_machine
from node.health.reasons import HEALTH
from node.metadata import tokens


def main() -> int:
    """Take the job's token away; check this machine, and drain it where that is needed."""
    tokens.revoke(read_machine(), int(os.environ["SLURM_JOB_ID"]))
    report = look(this_machine(read_node_config()), AFTER)
    if not report.ok:
        name = os.environ["SLURMD_NODENAME"]
        print(f"{name} is not fit for further jobs: {report.why()}", file=sys.stderr)
        drain(name, HEALTH, report.why())
    return 0


if __name__ == "__main__":
    sys.exit(main())
