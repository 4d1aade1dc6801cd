"""Tags by which a head says on its nodes what of them is idle; the account's reaper reads them.

A tag is the one word of a head that the account can trust to be about its own environment: IAM lets it tag no
other machines. The reaper has the ledger, and the right to set groups to zero (docs/idle.md).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from node.aws import aws_errors
from node.layout import utc_text

TAG_RUN = "fleetform:idle-run"
"""Of an idle run, on each of its nodes: `warned RUN STOPS CAUSE` or `stopped RUN TIME CAUSE`; "" once it
goes on."""
TAG_WORK = "fleetform:work"
"""On a node that stands for good: `busy`, or `free TIME` since it has no run."""
FREE, RUNNING = "free", "busy"
WARNED, STOPPED = "warned", "stopped"
_LONGEST = 256
"""Of a tag's value, EC2's limit in characters."""
_AT_ONCE = 500
"""Machines that one call tags; EC2 takes a thousand."""


def run_mark(what: str, run_id: str, moment: float, cause: str) -> str:
    """Return what a node says of its idle run: `what` is WARNED, `moment` then its stop, or STOPPED."""
    return f"{what} {run_id} {utc_text(moment)} {cause}"[:_LONGEST]


def free_mark(now: float) -> str:
    """Return what a node says that has no run."""
    return f"{FREE} {utc_text(now)}"


def mark(ec2: Any, instance_ids: Sequence[str], key: str, value: str) -> bool:
    """Tag the machines; return whether EC2 did. A refusal is told and holds nothing up.

    A machine that has just gone spoils the call for all: what is left is marked by the next one.
    """
    ids = sorted({each for each in instance_ids if each})
    try:
        for start in range(0, len(ids), _AT_ONCE):
            ec2.create_tags(Resources=ids[start : start + _AT_ONCE], Tags=[{"Key": key, "Value": value}])
    except aws_errors() as error:
        print(f"{key} could not be written on {', '.join(ids)}: {error}", file=sys.stderr, flush=True)
        return False
    return True
