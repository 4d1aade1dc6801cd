"""What a runner under Slurm finds out: lost machines, how long its own took to start and to be checked."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from typing import Any

from node.config import NodeConfig
from node.layout import utc_text
from node.slurm import tools

_BOOT_LOG = "var/log/fleetform/boot.jsonl"
_NOTICE_SECONDS = 5.0
"""How long a spot notice that a job has seen may take to be in Slurm: agents ask for it every 2 s."""
_LOOK_SECONDS = 0.5
_REPLACED = frozenset({"POWERING_DOWN", "POWERED_DOWN", "POWERING_UP"})
"""A node that a job has is down for about a second alone where its next machine is waiting already."""


def has_lost_a_node() -> bool:
    """Return whether Slurm has given up a machine of the job that this process belongs to."""
    names = os.environ.get("SLURM_JOB_NODELIST", "")
    try:
        return any(_is_lost(node) for node in tools.nodes(names))
    except tools.SlurmError as error:
        print(f"Slurm does not say how the job's machines are: {error}", file=sys.stderr)
        return False


def is_taken_back() -> bool:
    """Return whether a machine of the job is down, or kept from new jobs, as one with a spot notice is."""
    names, deadline = os.environ.get("SLURM_JOB_NODELIST", ""), time.monotonic() + _NOTICE_SECONDS
    heard = False
    while True:
        try:
            nodes = tools.nodes(names)
            if any(_is_lost(node) or "DRAIN" in node.flags for node in nodes):
                return True
            heard = True
        except tools.SlurmError as error:
            print(f"Slurm does not say how the job's machines are: {error}", file=sys.stderr)
        if time.monotonic() > deadline:
            return not heard  # who cannot be asked tells nothing against the run
        time.sleep(_LOOK_SECONDS)


def _is_lost(node: tools.NodeState) -> bool:
    """Return whether a node that the job has is without the machine that it had."""
    return node.state == "DOWN" or not node.flags.isdisjoint(_REPLACED)


def boot_report(config: NodeConfig) -> dict[str, Any] | None:
    """Return when this machine's start had ended and how many seconds it took; None where nothing tells."""
    path = config.root / _BOOT_LOG
    seconds = 0.0
    try:
        ended = path.stat().st_mtime
        for line in path.read_text().splitlines():
            with contextlib.suppress(ValueError, KeyError, TypeError):  # half a line
                seconds += float(json.loads(line)["seconds"])
    except OSError:
        return None
    return {"ended": utc_text(ended), "seconds": round(seconds, 3)}


def health_seconds(config: NodeConfig, job_id: int) -> float | None:
    """Return how long this machine was looked over before the job; None where it was not."""
    seconds = _health_report(config, job_id).get("seconds")
    return float(seconds) if isinstance(seconds, int | float) else None


def refusal(config: NodeConfig, job_id: int) -> str:
    """Return why the job is not to run on any of its machines, as they found out together; "" if it may."""
    return str(_health_report(config, job_id).get("refused") or "")


def _health_report(config: NodeConfig, job_id: int) -> dict[str, Any]:
    from node.health.prolog import read_report  # a batch step needs none of what comes with it

    return read_report(config, job_id)
