"""How a job ends that nobody starts again: its exit code, and its last line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from trainer.launch.causes import EXIT_STOPPED, Death, exit_status, first_cause
from trainer.launch.policy import Failure


@dataclass(frozen=True)
class Verdict:
    """How a job ended."""

    code: int
    text: str
    """The last line, its first word included: `failed: ...`, `stopped: ...`, `done`."""


@dataclass(frozen=True)
class Asked:
    """Somebody wants the job to end."""

    why: str
    code: int
    """What the launcher ends with where the ranks did not stop as they should."""


def well_ended(deaths: Sequence[Death], asked: Asked | None, restarts: int) -> Verdict:
    """Return how a job ends whose ranks all ended with 0 or EXIT_STOPPED."""
    again = f" after {restarts} restart{'s' if restarts != 1 else ''}" if restarts else ""
    if any(death.code == EXIT_STOPPED for death in deaths):
        why = asked.why if asked else "the ranks stopped by themselves"
        return Verdict(EXIT_STOPPED, f"stopped: {why}; saved{again}; the same command goes on")
    return Verdict(0, f"done{again}")


def ended_as_asked(asked: Asked, deaths: Sequence[Death], failure: Failure) -> Verdict:
    """Return how a job ends that was asked to, and whose ranks did not all end well."""
    failed = first_cause(deaths)
    if failed is None or failed.text == "":
        return Verdict(asked.code, f"stopped: {asked.why}; not every rank saved in time")
    return Verdict(exit_status(failure.code), f"failed: while stopping: {failure.cause}")
