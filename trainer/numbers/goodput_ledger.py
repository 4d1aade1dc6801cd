"""Where a run's time went: every second of it in one bucket, reckoned from goodput.jsonl alone.

The buckets are those of Google's ML Productivity Goodput (AI-Hypercomputer/ml-goodput-measurement on GitHub)
with `evaluation` as a custom one, and `runtime` for programs that report no steps. Standard library only.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from trainer.files.durable import write_durably
from trainer.numbers.goodput import FILE
from trainer.numbers.goodput_events import STOPPED, Attempt, History, Life, read_history
from trainer.numbers.goodput_windows import find_windows
from trainer.numbers.spans import Span, seconds_on_top

LEDGER = "goodput.json"
FORMAT = "fleetform-goodput/1"
BUCKETS = (
    "productive",
    "runtime",
    "wasted_progress",
    "data_loading",
    "checkpoint_save",
    "checkpoint_restore",
    "evaluation",
    "accelerator_init",
    "training_prep",
    "program_startup",
    "infrastructure_recovery",
    "other",
)
"""In this order they are shown. What each holds: docs/numbers.md."""
_STAGE_AFTER = {
    "process_started": "program_startup",
    "imports_done": "accelerator_init",
    "device_ready": "training_prep",
    "setup_done": "program_startup",
    "evaluation_started": "evaluation",
    "checkpoint_wait_started": "checkpoint_save",
    "first_step": "other",
    "steps": "other",
    "evaluation": "other",
    "checkpoint_wait": "other",
    "stopped": "other",
    "finished": "other",
}
"""What a process does after it has told that, until it tells the next thing."""
_INTERRUPTION = {
    "evaluation": "evaluation", "checkpoint_wait": "checkpoint_save", "data_wait": "data_loading"
}  # fmt: skip
"""Events that tell of a time from `begin` to `end`."""
RELAUNCH_SECONDS = 600.0
"""A launcher that was killed is started again on its machine at once. What takes longer than this is a resume
on other machines: until then nobody paid for any."""
_GAP, _JOB, _ATTEMPT, _LIFE, _STEPS, _PAUSE = range(6)
"""Which of two accounts of the same moment holds: the later one in this list."""


@dataclass(frozen=True, kw_only=True)
class Ledger:
    """A run's time."""

    wall_seconds: float
    """From the first start to the end, or the last that was heard; without the time between a job that had
    ended, or was told to stop, and the next one in the same run directory."""
    stopped_seconds: float
    """How long the run had no machines, between being told to stop or losing them and being resumed."""
    until: float
    """The time of the last event that it takes account of, seconds since the epoch; 0 for none."""
    buckets: dict[str, float]
    """Seconds of each of BUCKETS; together the wall time."""
    goodput_percent: float | None
    """Share of `productive`; None where nobody has reported a step."""
    usd_per_hour: float | None
    usd: dict[str, float] | None
    """What each bucket cost; None where no price is known."""
    steps: int
    """Steps that count: done and not lost."""
    lost_steps: int
    """Steps that were done and then lost, because the run went on from before them."""
    attempts: int
    restarts: tuple[dict[str, Any], ...]
    """Each end that was not the last: its `time` (seconds since the epoch), `cause`, the `step` reached."""
    unread_lines: int

    @property
    def largest_loss(self) -> tuple[str, float]:
        """The bucket that cost the most besides those in which the program ran, and its seconds."""
        losses = {name: s for name, s in self.buckets.items() if name not in ("productive", "runtime")}
        return max(losses.items(), key=lambda item: item[1])

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as JSON has it."""
        return {"format": FORMAT, **asdict(self)}


def read_ledger(path: Path, usd_per_hour: float | None = None) -> Ledger:
    """Return the ledger of a goodput.jsonl; `usd_per_hour` is what all the run's machines cost together.

    Raises OSError where the file cannot be read.
    """
    return reckon(read_history(path), usd_per_hour)


def write_ledger(run_dir: Path, usd_per_hour: float | None = None) -> Ledger | None:
    """Write goodput.json beside the run's goodput.jsonl; None where there is no such file."""
    if not (run_dir / FILE).is_file():
        return None
    ledger = read_ledger(run_dir / FILE, usd_per_hour)
    write_durably(run_dir / LEDGER, json.dumps(ledger.to_dict(), indent=1) + "\n")
    return ledger


def reckon(history: History, usd_per_hour: float | None = None) -> Ledger:
    """Return the ledger of a run's history."""
    windows = find_windows(history, _STEPS)
    spans = [*_job_spans(history), *_life_spans(history), *(window.span for window in windows)]
    on_top = seconds_on_top(spans, ground=_JOB)
    buckets = dict.fromkeys(BUCKETS, 0.0)
    for window in windows:
        for bucket, seconds in window.split(on_top.pop(window.span.key, 0.0)).items():
            buckets[bucket] += seconds
    for bucket, seconds in on_top.items():
        buckets[bucket] += seconds
    wall = sum(buckets.values())
    known = any(window.num_steps for window in windows)
    return Ledger(
        wall_seconds=wall,
        stopped_seconds=sum(end - begin for begin, end, recovers in _gaps(history) if not recovers),
        until=max((event.time for event in history.events), default=0.0),
        buckets=buckets,
        goodput_percent=100 * buckets["productive"] / wall if known and wall else None,
        usd_per_hour=usd_per_hour,
        usd=None if usd_per_hour is None else {k: s * usd_per_hour / 3600 for k, s in buckets.items()},
        steps=sum(window.num_steps - window.lost for window in windows),
        lost_steps=sum(window.lost for window in windows),
        attempts=sum(len(job.attempts) or 1 for job in history.jobs),
        restarts=tuple(_restarts(history)),
        unread_lines=history.unread_lines,
    )


def _job_spans(history: History) -> Iterator[Span]:
    """Yield what the launcher's events tell: starts, programs that report no steps, recoveries."""
    with_run = {id(life.attempt) for life in history.lives}
    for begin, end, recovers in _gaps(history):
        if recovers:
            yield Span(begin, end, _GAP, "infrastructure_recovery")
    for number, job in enumerate(history.jobs):
        yield Span(job.begin, job.end, _JOB, "other")
        is_last = number + 1 == len(history.jobs)
        for at, attempt in enumerate(job.attempts):
            begin = job.begin if at == 0 else attempt.begin
            following = job.attempts[at + 1].begin if at + 1 < len(job.attempts) else None
            end = _failed_at(attempt) or attempt.end or following or job.end
            is_lost = following is not None or (job.code is None and not is_last)
            if id(attempt) in with_run:
                yield Span(begin, end, _ATTEMPT, "program_startup")
            else:
                yield from _blind_spans(attempt, begin, end, is_lost)
            if following is not None:
                yield Span(end, following, _ATTEMPT, "infrastructure_recovery")


def _gaps(history: History) -> Iterator[tuple[float, float, bool]]:
    """Yield begin and end of the times in which a run waited to go on, and whether on machines it still had.

    After a job that had ended for good nobody waited.
    """
    for job, following in pairwise(history.jobs):
        if job.code in (None, STOPPED) and following.begin > job.end:
            soon = following.begin - job.end <= RELAUNCH_SECONDS
            yield job.end, following.begin, job.code is None and soon


def _failed_at(attempt: Attempt) -> float | None:
    return attempt.failed.time if attempt.failed else None


def _blind_spans(attempt: Attempt, begin: float, end: float, is_lost: bool) -> Iterator[Span]:
    """Yield the spans of an attempt whose program reports no steps: it runs from its first output on."""
    running = end if attempt.first_output is None else attempt.first_output
    yield Span(begin, running, _ATTEMPT, "program_startup")
    yield Span(running, end, _ATTEMPT, "wasted_progress" if is_lost else "runtime")


def _life_spans(history: History) -> Iterator[Span]:
    """Yield what rank 0's own events tell: its stages, and what interrupted its steps."""
    for life in history.lives:
        end = _end(life)
        stage = "program_startup"
        moments = [event.time for event in life.events[1:]] + [end]
        for event, following in zip(life.events, moments, strict=True):
            stage = _STAGE_AFTER.get(event.kind, stage)
            yield Span(event.time, following, _LIFE, stage)
            if event.kind == "restored":
                yield Span(event.time - event.number("seconds"), event.time, _PAUSE, "checkpoint_restore")
            elif (bucket := _INTERRUPTION.get(event.kind)) is not None:
                yield Span(event.number("begin"), event.number("end"), _PAUSE, bucket)


def _end(life: Life) -> float:
    """Return when the process ended: as the launcher saw it, at least the last that it told."""
    attempt = life.attempt
    seen = (_failed_at(attempt) or attempt.end) if attempt else None
    return max(life.last.time, seen or 0.0)


def _restarts(history: History) -> Iterator[dict[str, Any]]:
    """Yield the attempts that failed, and the launchers that were killed or told to stop before another."""
    for number, job in enumerate(history.jobs):
        went_on = number + 1 < len(history.jobs)
        for attempt in job.attempts:
            if (failed := attempt.failed) is not None:
                cause = attempt.cause or str(failed.fields.get("cause") or "")
                yield {"time": failed.time, "cause": cause, "step": attempt.last_step or None}
        if job.code is None and went_on:
            yield {"time": job.end, "cause": "the launcher was killed or its machine lost", "step": None}
        elif job.code == STOPPED and went_on:
            yield {"time": job.end, "cause": "told to stop", "step": None}
