"""Stretches of a run in which steps were done, each split into what counts, what was lost, what waited."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from trainer.numbers.goodput_events import Event, History, Life
from trainer.numbers.spans import Span

STEP = "step"
"""Stands for the time of steps until it is known how many of them count."""
_TRAINS_AFTER = frozenset({"first_step", "steps", "evaluation", "checkpoint_wait"})
_TIMED = _TRAINS_AFTER | {
    "setup_done",
    "evaluation_started",
    "checkpoint_wait_started",
    "stopped",
    "finished",
}
"""Events that begin or end something; the others only inform."""


@dataclass(frozen=True)
class Window:
    """Steps of one process that followed each other."""

    span: Span
    parts: tuple[tuple[str, float], ...]
    """What its seconds went to, in the order in which they are dealt out; the last part takes the rest."""
    num_steps: int
    lost: int
    """How many of its steps the run went on from before."""

    def split(self, seconds: float) -> dict[str, float]:
        """Return how many of its seconds go to which bucket."""
        found: dict[str, float] = {}
        for name, most in self.parts:
            taken = min(seconds, most)
            seconds -= taken
            share = self.lost / self.num_steps if self.num_steps else 0.0
            pieces = {"productive": taken * (1 - share), "wasted_progress": taken * share}
            for bucket, piece in (pieces if name == STEP else {name: taken}).items():
                found[bucket] = found.get(bucket, 0.0) + piece
        return found


def find_windows(history: History, priority: int) -> list[Window]:
    """Return the windows of all processes; their spans' keys are unlike each other's."""
    windows: list[Window] = []
    for number, life in enumerate(history.lives):
        resumed = _resumed_at(history.lives[number:])
        kept_until = min(resumed, default=math.inf)
        pace = _pace([life]) or _pace(history.lives)
        for event in life.of("first_step", "steps"):
            first = int(event.number("step" if event.kind == "first_step" else "from"))
            last = first if event.kind == "first_step" else int(event.number("to"))
            span = _before(event, priority, f"window {len(windows)}")
            windows.append(_window(span, _parts(event, pace), first, last, kept_until))
        windows += _tail(life, pace, resumed, priority, f"tail {number}")
    return windows


def _resumed_at(lives: Sequence[Life]) -> list[int]:
    """Return the steps after which the lives behind the first went on, up to one that came to its end."""
    found: list[int] = []
    for life, following in itertools.pairwise(lives):
        if life.finished:  # what follows is another run
            break
        if (step := following.resumed_at) is not None:
            found.append(step)
    return found


def _window(
    span: Span, parts: tuple[tuple[str, float], ...], first: int, last: int, kept_until: float
) -> Window:
    num_steps = max(0, last - first + 1) if first > 0 else 0
    lost = int(min(num_steps, max(0, last - kept_until)))
    return Window(span, parts, num_steps, lost)


def _before(event: Event, priority: int, key: str) -> Span:
    """Return the time that the event tells of; `begin`, where it is told, counts interruptions in."""
    begin = event.number("begin") or event.time - event.number("seconds")
    return Span(begin, event.time, priority, key)


def _parts(event: Event, pace: float | None) -> tuple[tuple[str, float], ...]:
    """Return what a window's seconds went to: of the first step, what it took longer than the others."""
    if event.kind == "first_step":
        step = (STEP, math.inf if pace is None else pace), ("program_startup", math.inf)
        return ("data_loading", event.number("data_wait_s")), *step
    waits = ("data_loading", event.number("data_wait_s")), ("checkpoint_save", event.number("blocked_save_s"))
    return *waits, (STEP, math.inf)


def _pace(lives: Sequence[Life]) -> float | None:
    """Return the mean seconds of a step without its waits, None where no window tells."""
    windows = [event for life in lives for event in life.of("steps")]
    steps = sum(event.number("to") - event.number("from") + 1 for event in windows)
    waits = sum(event.number("data_wait_s") + event.number("blocked_save_s") for event in windows)
    return max(0.0, sum(event.number("seconds") for event in windows) - waits) / steps if steps > 0 else None


def _tail(
    life: Life, pace: float | None, resumed: Sequence[int], priority: int, key: str
) -> Iterator[Window]:
    """Yield what a process did between the last that it told and its violent end.

    It did as many steps as the launcher saw or as the run went on after, then a part of one, and the rest of
    the time it took to notice that it was dead or hung.
    """
    attempt = life.attempt
    told_last = next((event for event in reversed(life.events) if event.kind in _TIMED), None)
    if attempt is None or attempt.failed is None or told_last is None or told_last.kind not in _TRAINS_AFTER:
        return
    told = life.last_step
    seen = max([told, attempt.last_step, *resumed[:1]])
    untold = seen - told if pace else 0
    parts = (
        (STEP, untold * (pace or 0.0)),
        ("wasted_progress", pace or 0.0),
        ("infrastructure_recovery", math.inf),
    )
    span = Span(told_last.time, attempt.failed.time, priority, key)
    yield _window(span, parts, told + 1, told + untold, min(resumed, default=math.inf))
