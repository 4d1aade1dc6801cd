"""Whether a failed job is started again: a function of its history alone."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from signal import SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV

from trainer.launch.causes import EXIT_FAILED, EXIT_SMALLER_BATCH, EXIT_USER_MISTAKE, Death, first_cause

DEFAULT_RESTARTS = 10
"""Restarts in a row without progress, where the command line says nothing else."""
REPEATED_RESTARTS = 3
"""The same where the program itself is the likely reason and counts its steps."""
_SMALLER_BATCHES = 24
"""More halvings than any micro-batch has; beyond them the exit code means something else."""
_LONG_SECONDS = 300.0
"""How long an attempt that counts no steps must last to count as progress."""
_LONGEST_PAUSE = 30.0
_OWN_SIGNALS = tuple(-number for number in (SIGILL, SIGABRT, SIGBUS, SIGFPE, SIGSEGV))
_NEVER = ("DivergedError",)
"""Exceptions that come again whatever is done: the same data gives the same loss."""


@dataclass(frozen=True)
class Failure:
    """What ended an attempt."""

    cause: str
    """In words, for people."""
    code: int = 1
    """Exit code of the rank that failed first; minus the number for a signal."""
    step: int | None = None
    """Most steps that any rank had done; None where none counts them."""
    falls: int = 0
    """How often that count had begun anew: the script trains several times, one after the other."""
    seconds: float = 0.0
    """How long the attempt lasted."""
    text: str = ""
    """What the rank said itself, as `ValueError: ...`; "" for a killed or hung one."""
    outside: bool = False
    """Whether it was no rank's own end: a hang, a lost machine."""

    @property
    def may_repeat(self) -> bool:
        """Whether the program is the likely reason: an exit of its own, or a signal of its own making."""
        return not self.outside and (self.code > 0 or self.code in _OWN_SIGNALS)

    def same_as(self, other: Failure) -> bool:
        """Whether both ended alike at the same step; numbers such as ports and addresses are passed over."""
        alike = [re.sub(r"0x[0-9a-f]+|\d+", "#", each.text) for each in (self, other)]
        return alike[0] == alike[1] and (self.code, self.step, self.falls) == (
            other.code,
            other.step,
            other.falls,
        )


def failure_of(fault: str, deaths: Sequence[Death], seconds: float) -> Failure:
    """Return what ended an attempt that lasted so long; `fault` is the cause where no rank's own end is."""
    step = max((death.step for death in deaths if death.step is not None), default=None)
    falls = max((death.falls for death in deaths), default=0)
    death = first_cause(deaths)
    if fault or death is None:
        return Failure(fault or "not all ranks stopped", EXIT_FAILED, step, falls, seconds, outside=True)
    return Failure(death.describe(), death.code, step, falls, seconds, death.text)


@dataclass(frozen=True)
class History:
    """What a job's restarts have been so far."""

    restarts: int = 0
    without_progress: int = 0
    """Restarts since the last progress."""
    best_step: int | None = None
    last: Failure | None = None
    smaller_batches: int = 0
    """Restarts in a row for a smaller micro-batch."""


@dataclass(frozen=True)
class Decision:
    """Whether to start again, after how long, and why not."""

    restart: bool
    history: History
    why_not: str = ""
    pause_seconds: float = 0.0


def decide(history: History, failure: Failure, max_restarts: int | None = None) -> Decision:
    """Return what follows a failure; `max_restarts` are those without progress that the user allows."""
    if failure.code == EXIT_USER_MISTAKE or failure.text.startswith(_NEVER):
        return Decision(False, history, "it would fail in the same way again")
    if max_restarts == 0:
        return Decision(False, history)
    if failure.code == EXIT_SMALLER_BATCH and history.smaller_batches < _SMALLER_BATCHES:
        return Decision(True, _next(history, failure, smaller_batches=history.smaller_batches + 1))
    progress = _progressed(history, failure)
    if not progress and failure.may_repeat and history.last is not None and failure.same_as(history.last):
        return Decision(False, history, "twice in a row the same, and no step further")
    used = 0 if progress else history.without_progress
    counted_program = failure.may_repeat and failure.step is not None
    default = REPEATED_RESTARTS if counted_program else DEFAULT_RESTARTS
    if used >= (default if max_restarts is None else max_restarts):
        return Decision(False, history, f"{used} restarts brought it no further")
    pause = 0.0 if used == 0 else min(_LONGEST_PAUSE, 2.0 ** (used - 1))
    return Decision(True, _next(history, failure, without_progress=used + 1), pause_seconds=pause)


def _progressed(history: History, failure: Failure) -> bool:
    if failure.step is None:
        return failure.seconds >= _LONG_SECONDS
    if failure.falls:  # one training was done and the next begun: progress, unless it was so the last time
        last = history.last
        return last is None or (failure.falls, failure.step) != (last.falls, last.step)
    return failure.step > (history.best_step or 0)


def _next(
    history: History, failure: Failure, *, without_progress: int | None = None, smaller_batches: int = 0
) -> History:
    before = None if failure.falls else history.best_step
    steps = [step for step in (before, failure.step) if step is not None]
    return replace(
        history,
        restarts=history.restarts + 1,
        without_progress=history.without_progress if without_progress is None else without_progress,
        best_step=max(steps, default=None),
        last=failure,
        smaller_batches=smaller_batches,
    )
