"""How an execution of a run under Slurm ended, and whether the run goes on: from what its nodes reported."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from node.layout import CANCELLED, EXIT_PREEMPTED, FAILED, REQUEUED, SUCCEEDED, TIMED_OUT, epoch_seconds

EXIT_REQUEUE = EXIT_PREEMPTED
"""What a batch step ends with that is to be run again: `RequeueExit` of slurm.conf."""
STOP_KINDS = {"cancel": CANCELLED, "timeout": TIMED_OUT, "requeue": REQUEUED}
"""What `kind` in stop.json makes of a run that was stopped by it; one without a kind is cancelled."""
LOST = "a machine of it was lost, or taken away"
UNASKED = "it stopped though nobody had told it to"
"""Said of a job that ends with 75 while none of its machines is being taken away."""
NONE_LEFT = "and it has been started again as often as it may be (--requeues)"
_OUR_TROUBLES = frozenset({70, 74})
"""A runner could not begin, or could not bring the outputs home."""

Report = Mapping[str, Any]


@dataclass(frozen=True)
class Ended:
    """One execution's end."""

    event: str
    """A final event, or REQUEUED where the run goes on."""
    cause: str = ""
    crashed: bool = False
    """Whether it counts against the restarts that a run may have of its own (`--requeues`)."""

    @property
    def exit_code(self) -> int:
        """What the batch step ends with, so that Slurm does as we say."""
        return {SUCCEEDED: 0, REQUEUED: EXIT_REQUEUE}.get(self.event, 1)


def judge(
    reports: Sequence[Report | None],
    stop: Mapping[str, Any] | None,
    *,
    lost: bool,
    interrupted: Callable[[], bool],
    crashes_left: int,
    cause: Callable[[int, Report | None], str],
) -> Ended:
    """Return how the execution ended whose node of rank n left `reports[n]`, None where it left none.

    `stop` is stop.json; `lost` says that Slurm has taken the nodes away or one has died. The first rank that
    failed of its own decides: the others often fail, or are stopped, because it has gone. 75 is a job that
    stops and has saved; a signal, or trouble of ours, is a crash; anything else is the user's error.
    `interrupted` is asked where one stopped that nobody had told to: whether a machine is being taken away,
    which it may have seen itself; otherwise that counts as a crash does. `cause` tells why a rank failed.
    """
    stopped = [(report or {}).get("stopped") for report in reports]
    if stop is not None and "request" in stopped:
        event = STOP_KINDS.get(str(stop.get("kind", "cancel")), CANCELLED)
        return Ended(event, str(stop.get("reason", "")))
    if all(report is not None and report["exit_code"] == 0 for report in reports):
        return Ended(SUCCEEDED)
    if lost:
        return Ended(REQUEUED, LOST)
    failed = [
        rank
        for rank, report in enumerate(reports)
        if report is None or (report["exit_code"] != 0 and not report.get("stopped"))
    ]
    if not failed:
        return Ended(REQUEUED, "it was told to stop, and has saved")
    first = min(failed, key=lambda rank: (_end(reports[rank]), rank))
    report, why = reports[first], cause(first, reports[first])
    if report is None or report["exit_code"] != EXIT_PREEMPTED:
        return _of_its_own(why, crashes_left) if is_crash(report) else Ended(FAILED, why)
    if interrupted():
        return Ended(REQUEUED, why)
    said = UNASKED if crashes_left > 0 else f"{UNASKED}, {NONE_LEFT}"
    return _of_its_own(f"{why}; {said}", crashes_left)


def _of_its_own(why: str, left: int) -> Ended:
    return Ended(REQUEUED if left > 0 else FAILED, why, crashed=True)


def is_crash(report: Report | None) -> bool:
    """Return whether that is no error of the user's program, as far as an exit code can tell."""
    if report is None:
        return True
    if report.get("final"):
        return False
    code = int(report["exit_code"])
    return code < 0 or code > 128 or code in _OUR_TROUBLES


def _end(report: Report | None) -> float:
    return epoch_seconds(str(report["ended"])) if report and report.get("ended") else float("inf")
