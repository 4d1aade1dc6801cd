"""What a batch step has said of an execution (`batch.json`): whether it is about this one, and what it means.

A job's own code may write that file, too: nothing in it is taken for what it should be.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

from node.layout import CANCELLED, FINAL_EVENTS, SUCCEEDED, epoch_seconds
from node.slurm.book import Entry
from node.slurm.tools import JobState
from node.watch import Verdict

_CLOCK = 2.0
"""Seconds by which the times of machines may differ."""


def told(record: Mapping[str, Any], entry: Entry, job: JobState) -> Verdict | None:
    """Return how the run ended; None where the batch step said nothing of it, or it will run again."""
    if record.get("job_id") != job.job_id or not record.get("ended"):
        return None
    # Under the number of a run's first and only job there is no word of an earlier execution, whatever the
    # clocks say.
    first = entry.requeues == 0 and entry.submissions == 1 and record.get("attempt", 1) == entry.attempt
    verdict = str(record.get("verdict"))
    if not (first or is_of(record, job.started)) or verdict not in FINAL_EVENTS:
        return None
    if entry.cancelled_by and verdict != SUCCEEDED:
        return Verdict(CANCELLED, f"cancelled by {entry.cancelled_by}")
    return Verdict(verdict, str(record.get("cause", "")))


def left(record: Mapping[str, Any], entry: Entry) -> Verdict | None:
    """Return how a run ended whose job Slurm has forgotten; None where its batch step has not said so."""
    verdict = str(record.get("verdict"))
    if not record.get("ended") or record.get("attempt", 1) != entry.attempt:
        return None
    if verdict not in FINAL_EVENTS or not is_of(record, epoch_seconds(entry.accepted)):
        return None
    return Verdict(verdict, str(record.get("cause", "")))


def is_of(record: Mapping[str, Any], started: float | None) -> bool:
    """Return whether what a batch step said is about the execution that began then."""
    with contextlib.suppress(ValueError):
        return started is None or epoch_seconds(str(record.get("started"))) >= started - _CLOCK
    return False
