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
    "launch failed requeued held": "its start failed; held",
}
_FAMILIES = (
    ("ReqNodeNotAvail", "waiting for nodes that are down, drained or reserved"),
    ("Nodes required for job are DOWN", "waiting for nodes that are down, drained or reserved"),
    ("PartitionTimeLimit", "its time limit is longer than its fleet allows"),
    ("PartitionNodeLimit", "it wants more nodes than its fleet has in service"),
    ("PartitionConfig", "it wants more nodes than its fleet has in service"),
    ("QOS", "its priority's limits are reached"),
    ("Assoc", "its team's limits are reached"),
)


def in_words(reason: str, nodes: int, fleet: str) -> str:
    """Return Slurm's reason (`Resources`) as a user reads it."""
    if reason == "Resources":
        return f"waiting for {nodes} free node{'s' if nodes != 1 else ''} of {fleet}"
    if reason in _SIMPLE:
        return _SIMPLE[reason]
    for beginning, words in _FAMILIES:
        if reason.startswith(beginning):
            return words
    return f"Slurm says {reason}"
