"""Why a run waits, in plain words for Slurm's own."""

from __future__ import annotations

_SIMPLE = {
    "": "",
    "None": "",
    "Priority": "others of higher priority go first",
    "BeginTime": "waiting for the time at which it may begin",
    "Dependency": "waiting for the runs that it comes after",
    "DependencyNeverSatisfied": "a run that it comes after has failed",
    "JobHeldUser": "held",
    "JobHeldAdmin": "held by Slurm or an administrator",
    "JobArrayTaskLimit": "as many tasks of its array run as may run at once",
    "Cleaning": "its last execution is being cleaned up",
    "Reservation": "waiting for its reservation",
    "PartitionDown": "its fleet takes no runs now",
    "PartitionInactive": "its fleet takes no runs now",
    "NodeDown": "waiting for a node that has failed",
    "Licenses": "waiting for a license",
}
_PARKED = ("launch failed requeued held", "JobHoldMaxRequeue")
"""Slurm's own holds, after a start that went wrong: nobody but us releases them."""
_FAMILIES = (
    ("ReqNodeNotAvail", "waiting for nodes that are down, drained or reserved"),
    ("Nodes required for job are DOWN", "waiting for nodes that are down, drained or reserved"),
    ("PartitionTimeLimit", "its time limit is longer than its fleet allows"),
    ("PartitionNodeLimit", "it wants more nodes than its fleet has in service"),
    ("PartitionConfig", "it wants more nodes than its fleet has in service"),
    ("QOS", "its priority's limits are reached"),
    ("Assoc", "its team's limits are reached"),
)


def is_parked(reason: str) -> bool:
    """Return whether Slurm holds a job because its start has failed."""
    return reason.replace("_", " ").startswith(_PARKED)


def needs_us(reason: str) -> bool:
    """Return whether a job waits for what the clerk must do, at each look until it is done."""
    return reason == "DependencyNeverSatisfied" or is_parked(reason)


def in_words(reason: str, nodes: int, fleet: str) -> str:
    """Return Slurm's reason (`Resources`) as a user reads it."""
    if reason == "Resources":
        return f"waiting for {nodes} free node{'s' if nodes != 1 else ''} of {fleet}"
    if is_parked(reason):
        return "its start failed, and is tried again"
    if reason in _SIMPLE:
        return _SIMPLE[reason]
    for beginning, words in _FAMILIES:
        if reason.startswith(beginning):
            return words
    return f"Slurm says {reason}"
