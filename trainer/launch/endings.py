"""How a job ends that nobody starts again: its exit code, and its last line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from trainer.launch.causes import EXIT_STOPPED, Death, exit_status, first_cause, lost_a_peer
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
    late: bool
    """Whether the attempt was ending of something else already."""


def well_ended(deaths: Sequence[Death], asked: Asked | None, restarts: int) -> Verdict:
    """Return how a job ends whose ranks all ended with 0 or EXIT_STOPPED."""
    again = f" after {restarts} restart{'s' if restarts != 1 else ''}" if restarts else ""
    if any(death.code == EXIT_STOPPED for death in deaths):
        why = asked.why if asked else "the ranks stopped by themselves"
        return Verdict(EXIT_STOPPED, f"stopped: {why}; saved{again}; the same command goes on")
    if asked is not None and not all(_finished(death) for death in deaths):
        return Verdict(EXIT_STOPPED, f"stopped: {asked.why}; no rank failed{again}; the same command goes on")
    return Verdict(0, f"done{again}")


def _finished(death: Death) -> bool:
    """Whether a rank that ended with 0 has done its work, and did not merely stop when it was told to."""
    return not death.told or death.phase == "finishing"


def ended_as_asked(
    asked: Asked, deaths: Sequence[Death], failure: Failure, *, resumes: bool, final: bool
) -> Verdict:
    """Return how a job ends that was asked to, and whose ranks did not all end well.

    `resumes` says that the program is one that saves its steps, `final` that `failure` would have ended the
    job anyway.
    """
    failed = first_cause(deaths)
    if asked.late or (failed is not None and not failed.told):  # it was failing before somebody asked
        if final:
            return Verdict(exit_status(failure.code), f"failed: {failure.cause}")
        code = EXIT_STOPPED if resumes else asked.code
        return Verdict(code, f"stopped: {asked.why}; just before, {failure.cause}")
    if all(_lost_nothing(death, resumes) for death in deaths):
        return Verdict(EXIT_STOPPED, f"stopped: {asked.why}, before the first step; the same command goes on")
    if failed is None or failed.text == "":
        return Verdict(asked.code, f"stopped: {asked.why}; not every rank saved in time")
    return Verdict(exit_status(failure.code), f"failed: while stopping: {failure.cause}")


def _lost_nothing(death: Death, resumes: bool) -> bool:
    """Whether a rank had done no step in its attempt, or ended well."""
    if death.code in (0, EXIT_STOPPED):
        return True
    if not death.told or (death.text and not lost_a_peer(death.text)):
        return False
    return death.step == 0 or (death.step is None and resumes)
