"""Where a run's objects lie in the artifact bucket, the events of its life, and UTC times in text."""

from __future__ import annotations

from datetime import datetime, timezone

QUEUED = "QUEUED"
PROVISIONING = "PROVISIONING"
RUNNING = "RUNNING"
SUCCEEDED = "SUCCEEDED"
FAILED = "FAILED"
CANCELLED = "CANCELLED"
TIMED_OUT = "TIMED_OUT"
PREEMPTED = "PREEMPTED"
"""It was told to stop from outside, as a spot node is, and has saved; it can be resumed."""
REQUEUED = "REQUEUED"
"""Under Slurm: it has lost its nodes, or was told to save and to give them up, and waits for others."""
IDLE = "IDLE"
"""An event that is no state: a run makes no progress, and when it is stopped for that (`stops`); or, without
that, that it goes on again."""
FINAL_EVENTS = frozenset({SUCCEEDED, FAILED, CANCELLED, TIMED_OUT, PREEMPTED})

EXIT_PREEMPTED = 75
"""What a job ends with that was told to stop, has saved, and asks to be run again (EX_TEMPFAIL)."""

TAG_ENVIRONMENT = "fleetform:environment"
TAG_ROLE = "fleetform:role"
TAG_FLEET = "fleetform:fleet"
TAG_RUN = "fleetform:run"
"""On a file system that was made for one run: the run's id."""
TAG_NODE = "fleetform:node"
"""On a machine of a cluster: the name that Slurm knows it by, `gpu-3`; the head gives it."""
ROLE_NODE = "node"
BATCH_STATE = "batch.json"
"""In a run's directory, under Slurm: what its batch step says of its start and its end."""


FSX_STATE = "fsx.json"
"""In a run's directory: how the run's own file system stands."""
FSX_DATA, FSX_RESULTS = "/data", "/results"
"""On a run's own file system: the dataset, and what is written back to the run's directory."""


def run_key(run_id: str, name: str) -> str:
    """Return the key of a file of the run directory (`events.jsonl`)."""
    return f"runs/{run_id}/{name}"


def output_name(rank: int) -> str:
    """Return the name of the list of what one node uploaded."""
    return f"outputs/node-{rank}.json"


def attempt_name(attempt: int, name: str) -> str:
    """Return where a file of an attempt lies (`outputs/node-0.json`) once the run was resumed after it."""
    return f"attempts/{attempt}/{name}"


def turn_name(turn: int, name: str) -> str:
    """Return where a file of a run's n-th execution lies (`outputs/node-0.json`) once another followed it."""
    return f"turns/{turn}/{name}"


def alive_name(rank: int) -> str:
    """Return the name of one node's sign of life."""
    return f"alive/node-{rank}.json"


def log_name(rank: int) -> str:
    """Return the name of one node's log."""
    return f"logs/node-{rank}.log"


def speedup_key(digest: str, *, one: bool = False) -> str:
    """Return the key of a job's trials, or (`one`) of what its last run on one process took.

    It lies below `runs/`, where those who may start runs may write; no run's id begins with a dot.
    """
    return f"runs/.speedup/{digest}{'.one' if one else ''}.json"


def claim_key(instance_id: str) -> str:
    """Return the key whose existence says that a run holds the node."""
    return f"nodes/{instance_id}.json"


def dataset_key(digest: str, name: str) -> str:
    """Return the key of one file of a dataset in the dataset bucket."""
    return f"{digest}/{name}"


def is_checkpoint(key: str) -> bool:
    """Return whether the object of a run directory belongs to a checkpoint, which may be deleted with age."""
    parts = key.split("/")
    below = parts[3:] if parts[2:3] and parts[2].startswith("node-") else parts[2:]
    return parts[0] == "runs" and below[:1] == ["checkpoints"]


def utc_now() -> str:
    """Return the time now, UTC, ISO 8601 with milliseconds: `2026-11-22T11:05:51.123Z`."""
    return utc_text(datetime.now(timezone.utc).timestamp())  # noqa: UP017 - datetime.UTC needs Python 3.11


def utc_text(seconds: float) -> str:
    """Return seconds since the epoch as ISO 8601 UTC text with milliseconds."""
    moment = datetime.fromtimestamp(seconds, timezone.utc)  # noqa: UP017
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def epoch_seconds(text: str) -> float:
    """Return the seconds since the epoch of an ISO 8601 time; a time without a zone is taken as UTC."""
    moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return (moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).timestamp()  # noqa: UP017
