"""Since when a run made no progress that was stopped as idle, as its end tells it (docs/idle.md)."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

from fleet.costs.amounts import milliseconds

TIMED_OUT = "TIMED_OUT"
_STOPPED = "idle: "
"""How the cause begins of a run that was stopped for making no progress."""
_SINCE = re.compile(r"\b(?:since|at) (\d{4}-\d\d-\d\d) (\d\d:\d\d) UTC")
_LOST = re.compile(r"its loss is no number since step (\d+)")
Metrics = Callable[[], bytes | None]
"""Reads the run's `metrics.jsonl`, None where it has none."""


def idle_since(outcome: str, cause: str, metrics: Metrics) -> int | None:
    """Return when it made its last useful step, or began, in milliseconds since the epoch.

    None for a run that was not stopped as idle, or where nothing tells it. The cause has the minute; of a
    loss that was no number it has the step, and `metrics` the time of the one before.
    """
    if outcome != TIMED_OUT or not cause.startswith(_STOPPED):
        return None
    if since := _SINCE.search(cause):
        return milliseconds(f"{since[1]}T{since[2]}:00+00:00")
    lost = _LOST.search(cause)
    return _before_step(metrics() or b"", int(lost[1])) if lost else None


def _before_step(metrics: bytes, step: int) -> int | None:
    """Return when the last step before that one was logged; where it was the first, that one."""
    found: int | None = None
    for line in metrics.splitlines():
        try:
            told = json.loads(line)
            if int(told["step"]) < step or found is None:
                found = milliseconds(str(told["time"]))
        except (ValueError, KeyError, TypeError):  # any program may write such a file
            continue
    return found
