"""Runs on spot nodes: what a script has to promise before it may run on several of them."""

from __future__ import annotations

from stacks.problems import Problem


def unsaved_script(nodes: int, fleet: str) -> list[Problem]:
    """Return the problem of a script on several spot nodes that is not said to write checkpoints, or none.

    The end of any one of the nodes ends the whole run, so its chance grows with their number.
    """
    if nodes < 2:
        return []
    problem = Problem(
        what=f"EC2 may end any of {nodes} spot nodes of {fleet} at two minutes' notice, and the script is "
        "not said to write checkpoints",
        do="have it write them below $FLEETFORM_RUN_DIR/checkpoints and go on from the newest, then say so "
        "with --checkpoints; or run on one node, or on a fleet that is not spot",
        path="--checkpoints",
    )
    return [problem]
