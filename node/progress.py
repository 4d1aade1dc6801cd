"""How far a run has come, by what it writes into its directory: `goodput.jsonl`, `metrics.jsonl`, its log.

Only a training step counts as progress; a log that grows and GPUs that are busy do not (docs/idle.md).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from node.layout import run_key
from node.store import Bucket

STARTING = "starting"
"""Its processes are being started, and have made no step since."""
TRAINING = "training"
BUSY = "busy"
"""It evaluates, or waits for a checkpoint to be written."""
SILENT = "silent"
"""It runs, and tells of no steps."""
ENDING = "ending"
"""Its program has ended, or was told to."""
GOODPUT, METRICS, LOGS = "goodput.jsonl", "metrics.jsonl", "logs/"
_TAIL = 64 * 1024
"""How much of the end of each file is looked at, bytes."""
_JITTER = 5.0
"""Seconds by which the clocks of those who tell may differ."""
_ROUNDED = 1.0
"""S3 says in whole seconds, rounded down, when an object was written."""
LINES_WITHOUT_LOSS = 3
"""So many logged losses in a row that are no numbers are no accident: a single one may be an overflow that a
program with scaled losses skips."""
_PREPARES = frozenset(
    {"process_started", "imports_done", "device_ready", "setup_done", "restored", "data_wait"}
)
_BEGINS_TO_WAIT = frozenset({"evaluation_started", "checkpoint_wait_started"})
_HAS_WAITED = frozenset({"evaluation", "checkpoint_wait", "saved"})
_ENDS = frozenset({"stopped", "finished", "job_ended"})
_BEGINS = frozenset({"job_started", "attempt_started", "attempt_ended"})


@dataclass(frozen=True)
class Progress:
    """Where a run stands."""

    phase: str
    since: float
    """When it last made progress, or the phase began; seconds since the epoch."""
    step: int = 0
    """The last step that it has told of; 0 for none."""
    lost_at: int | None = None
    """The step since which its loss is no number; None where it is one, or none is known."""


def read_progress(bucket: Bucket, run_id: str, started: float) -> Progress:
    """Return where the run stands that began then (seconds since the epoch); AWS's errors pass through."""
    seen = Progress(STARTING, started)
    told = bucket.ending(run_key(run_id, GOODPUT), _TAIL)
    if told is not None:
        seen = _follow(seen, _lines(told.body))
    seen = _of_this_start(seen, started)
    metrics = bucket.ending(run_key(run_id, METRICS), _TAIL)
    if metrics is not None and metrics.modified >= started - _JITTER:
        seen = _with_metrics(seen, list(_lines(metrics.body)), metrics.modified)
    return seen


def log_grown(bucket: Bucket, run_id: str) -> float:
    """Return when one of the run's logs last grew, seconds since the epoch; 0 before there is one."""
    return bucket.changed(run_key(run_id, LOGS))


def _follow(seen: Progress, events: Iterator[Mapping[str, Any]]) -> Progress:
    """Return where the events lead to: docs/numbers.md, "Goodput", says what each of them means."""
    phase, since, step = seen.phase, 0.0, seen.step
    ours = False
    for event in events:
        kind, time = str(event.get("event")), _number(event.get("time"))
        if time is None:
            continue
        if kind in _BEGINS:
            phase, since, ours = STARTING, time, False
        elif kind in _PREPARES:
            ours = True
            if phase in (STARTING, SILENT):
                phase, since = STARTING, time
        elif kind == "first_output":
            if phase == STARTING and not ours:
                phase, since = SILENT, time
        elif kind in ("first_step", "steps"):
            phase, since, ours = TRAINING, time, True
            step = int(_number(event.get("to", event.get("step"))) or step)
        elif kind in _BEGINS_TO_WAIT:
            phase, since = BUSY, time
        elif kind in _HAS_WAITED and phase == BUSY:
            phase, since = TRAINING, time
        elif kind in _ENDS:
            phase, since = ENDING, time
    return Progress(phase, since, step)


def _of_this_start(seen: Progress, started: float) -> Progress:
    """Return it, or a run that begins where all of that was told before its start: it runs once more."""
    return seen if seen.since >= started - _JITTER else Progress(STARTING, started)


def _with_metrics(seen: Progress, lines: list[Mapping[str, Any]], modified: float) -> Progress:
    """Return it with what the lines of `metrics.jsonl` tell, which any program may write."""
    steps = [number for line in lines if (number := _number(line.get("step"))) is not None]
    if not steps:
        return seen
    phase, since = seen.phase, seen.since
    if phase in (SILENT, STARTING, TRAINING) and modified + _ROUNDED > since:
        phase, since = TRAINING, max(since, modified)
    return Progress(phase, since, max(seen.step, int(steps[-1])), _lost_at(lines))


def _lost_at(lines: list[Mapping[str, Any]]) -> int | None:
    """Return the step of the first of the last lines whose loss is no number, where these are enough."""
    lost = list[Mapping[str, Any]]()
    for line in reversed(lines):
        if line.get("loss") is None:
            continue
        if _number(line["loss"]) is not None:
            break
        lost.append(line)
    if len(lost) < LINES_WITHOUT_LOSS:
        return None
    return int(_number(lost[-1].get("step")) or 0)


def _lines(body: bytes) -> Iterator[Mapping[str, Any]]:
    """Yield the objects among the lines; the first may be cut off, the last one half written."""
    for line in body.splitlines():
        try:
            found = json.loads(line)
        except ValueError:
            continue
        if isinstance(found, dict):
            yield found


def _number(value: object) -> float | None:
    """Return a finite number; None for anything else, `nan` as a text among it."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None
