"""A run's goodput.jsonl read back: jobs, their attempts, the lives of rank 0 (standard library only)."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

STOPPED = 75
"""Exit code of a job that was told to stop, saved, and is to be run again."""
JITTER = 0.25
"""Seconds by which the clocks of two processes of a run may differ, at most."""
JOB_KINDS = frozenset(
    {"job_started", "attempt_started", "first_output", "rank_ended", "attempt_ended", "job_ended"}
)
"""What the launcher tells; everything else comes from rank 0."""


@dataclass(frozen=True)
class Event:
    """One line."""

    time: float
    """Seconds since the epoch."""
    kind: str
    fields: Mapping[str, Any]

    def number(self, name: str) -> float:
        """Return a field's number; 0 where it is missing, negative or none."""
        return max(0.0, finite(self.fields.get(name)) or 0.0)


@dataclass
class Attempt:
    """All processes started once; None is what nobody has told."""

    begin: float
    end: float | None = None
    first_output: float | None = None
    failed: Event | None = None
    """The first process that ended as it should not have."""
    last_step: int = 0
    """The last step that one of its processes had done, as the launcher saw it."""
    cause: str = ""


@dataclass
class Job:
    """One launcher from its start to its end, or one rank 0 that nobody launched."""

    begin: float
    end: float
    """Its end, or the last that was heard of it."""
    code: int | None = None
    """Its exit code; None where it was killed, or is still running."""
    attempts: list[Attempt] = field(default_factory=list)


@dataclass
class Life:
    """One process that was rank 0, by its events."""

    events: list[Event]
    attempt: Attempt | None = None

    @property
    def begin(self) -> float:
        """When it was started."""
        return self.events[0].time

    @property
    def last(self) -> Event:
        """The last that it told."""
        return self.events[-1]

    @property
    def finished(self) -> bool:
        """Whether it came to its end."""
        return any(event.kind == "finished" for event in self.events)

    def of(self, *kinds: str) -> list[Event]:
        """Return its events of these kinds."""
        return [event for event in self.events if event.kind in kinds]

    @property
    def resumed_at(self) -> int | None:
        """The step that it went on after; None where it did not come that far."""
        for event in self.events:
            if event.kind in ("restored", "first_step"):
                return int(event.number("step")) - (event.kind == "first_step")
            if event.kind == "steps":
                return int(event.number("from")) - 1
        return None

    @property
    def last_step(self) -> int:
        """The last step that it told of; 0 where it did none."""
        told = [event.number("step") for event in self.of("first_step")]
        told += [event.number("to") for event in self.of("steps")]
        return int(max(told, default=0))


@dataclass(frozen=True)
class History:
    """Everything that goodput.jsonl tells, in order."""

    jobs: tuple[Job, ...]
    lives: tuple[Life, ...]
    events: tuple[Event, ...]
    unread_lines: int
    """Lines that are no event: torn by a crash."""


def finite(value: object) -> float | None:
    """Return the value as a float, None where it is no finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def read_history(path: Path) -> History:
    """Return what the file tells; counts lines that are no events. Raises OSError."""
    found: list[Event] = []
    unread = 0
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            fields = json.loads(line)
        except ValueError:
            fields = None
        moment = finite(fields.get("time")) if isinstance(fields, dict) else None
        if moment is None or not isinstance(fields.get("event"), str):
            unread += 1
            continue
        found.append(Event(moment, fields["event"], fields))
    found.sort(key=lambda event: event.time)
    jobs = _jobs([event for event in found if event.kind in JOB_KINDS])
    lives = list(_lives([event for event in found if event.kind not in JOB_KINDS]))
    jobs += _place(lives, jobs)
    jobs.sort(key=lambda job: job.begin)
    _heard(jobs, found)
    return History(tuple(jobs), tuple(lives), tuple(found), unread)


def _jobs(events: Sequence[Event]) -> list[Job]:
    """Return the launcher's jobs with their attempts."""
    jobs: list[Job] = []
    for event in events:
        if event.kind == "job_started" or not jobs:
            jobs.append(Job(event.time, event.time))
        job = jobs[-1]
        job.end = max(job.end, event.time)
        if event.kind == "attempt_started":
            job.attempts.append(Attempt(event.time))
        elif event.kind == "job_ended":
            job.code = int(event.number("code"))
        if not job.attempts:
            continue
        attempt = job.attempts[-1]
        if event.kind == "first_output" and attempt.first_output is None:
            attempt.first_output = event.time
        elif event.kind == "rank_ended":
            attempt.last_step = max(attempt.last_step, int(event.number("step")))
            if _is_failure(event) and attempt.failed is None:
                attempt.failed = event
        elif event.kind in ("attempt_ended", "job_ended") and attempt.end is None:
            attempt.end, attempt.cause = event.time, str(event.fields.get("cause") or "")
    return jobs


def _is_failure(event: Event) -> bool:
    return bool(event.fields.get("signal")) or event.fields.get("code") not in (0, STOPPED)


def _lives(events: Sequence[Event]) -> Iterator[Life]:
    """Yield the processes, told apart by their numbers and, as numbers come again, by their starts."""
    by_pid: dict[Any, Life] = {}
    lives: list[Life] = []
    for event in events:
        pid = event.fields.get("pid")
        if event.kind == "process_started" or pid not in by_pid:
            by_pid[pid] = Life([])
            lives.append(by_pid[pid])
        by_pid[pid].events.append(event)
    yield from sorted(lives, key=lambda life: life.begin)


def _place(lives: Sequence[Life], jobs: Sequence[Job]) -> list[Job]:
    """Give each life its attempt; return a job for each life that no launcher started."""
    attempts = sorted((attempt for job in jobs for attempt in job.attempts), key=lambda each: each.begin)
    bounds = [(job.begin - JITTER, job.end if job.code is not None else math.inf) for job in jobs]
    alone = []
    for life in lives:
        if any(begin <= life.begin <= end for begin, end in bounds):
            life.attempt = next((a for a in reversed(attempts) if a.begin <= life.begin + JITTER), None)
        if life.attempt is None:
            code = 0 if life.finished else STOPPED if life.of("stopped") else None
            alone.append(Job(life.begin, life.last.time, code))
    return alone


def _heard(jobs: Sequence[Job], events: Sequence[Event]) -> None:
    """Let a job whose end nobody told last until the last event before the next job."""
    for number, job in enumerate(jobs):
        following = jobs[number + 1].begin if number + 1 < len(jobs) else math.inf
        if job.code is None:
            times = (event.time for event in events if job.begin <= event.time < following)
            job.end = max(times, default=job.end)
