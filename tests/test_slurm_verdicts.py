"""How an execution ended, from what its nodes reported, and what becomes of the run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from node.slurm.verdicts import Ended, judge

EARLY, LATE = "2026-11-22T11:00:00.000Z", "2026-11-22T11:00:05.000Z"


def report(code: int, ended: str = EARLY, stopped: str = "", **more: Any) -> dict[str, Any]:
    return {"exit_code": code, "ended": ended, **({"stopped": stopped} if stopped else {}), **more}


def ended(
    *reports: Mapping[str, Any] | None,
    left: int = 1,
    stop: Any = None,
    lost: bool = False,
    interrupted: bool = False,
) -> Ended:
    return judge(
        reports, stop, lost=lost, interrupted=lambda: interrupted, crashes_left=left,
        cause=lambda rank, report: f"node {rank}",
    )  # fmt: skip


def test_all_that_succeeded_is_a_success() -> None:
    assert ended(report(0), report(0)) == Ended("SUCCEEDED")
    assert ended(report(0), report(0), lost=True).exit_code == 0


@pytest.mark.parametrize("code", [1, 2, 3, 76, 127, 128])
def test_a_users_error_ends_the_run(code: int) -> None:
    assert ended(report(code), report(75, LATE, "signal")) == Ended("FAILED", "node 0")
    assert ended(report(code)).exit_code == 1


@pytest.mark.parametrize("code", [137, 139, 70, 74])
def test_a_crash_is_requeued_while_any_is_left(code: int) -> None:
    assert ended(report(75, LATE, "signal"), report(code)) == Ended("REQUEUED", "node 1", crashed=True)
    assert ended(report(code), left=0) == Ended("FAILED", "node 0", crashed=True)


def test_an_input_that_is_wrong_everywhere_is_no_crash() -> None:
    assert ended(report(70, final=True)) == Ended("FAILED", "node 0")


def test_the_first_to_fail_decides_and_one_that_was_stopped_is_not_it() -> None:
    assert ended(report(1, LATE), report(75, EARLY)).event == "REQUEUED"
    assert ended(report(137, EARLY), report(1, LATE)) == Ended("REQUEUED", "node 0", crashed=True)
    assert ended(report(143, EARLY, "signal"), report(1, LATE)) == Ended("FAILED", "node 1")


def test_all_that_were_told_to_stop_go_on_elsewhere_uncounted() -> None:
    found = ended(report(75, stopped="signal"), report(143, stopped="signal"), left=0)
    assert (found.event, found.crashed, found.exit_code) == ("REQUEUED", False, 75)


def test_one_that_stops_because_its_machine_is_taken_away_goes_on_uncounted() -> None:
    assert ended(report(75), interrupted=True, left=0) == Ended("REQUEUED", "node 0")


def test_one_that_stops_though_nobody_told_it_to_goes_on_as_often_as_it_may_crash_and_is_told_so() -> None:
    why = "node 0; it stopped though nobody had told it to"
    assert ended(report(75), report(0)) == Ended("REQUEUED", why, crashed=True)
    over = f"{why}, and it has been started again as often as it may be (--requeues)"
    assert ended(report(75), left=0) == Ended("FAILED", over, crashed=True)


def test_a_machine_that_was_lost_is_no_crash_and_a_runner_that_was_killed_is_one() -> None:
    assert ended(None, report(137, LATE), lost=True, left=0).event == "REQUEUED"
    assert ended(None, report(75, LATE, "signal")) == Ended("REQUEUED", "node 0", crashed=True)


@pytest.mark.parametrize(
    ("kind", "event"),
    [("cancel", "CANCELLED"), ("timeout", "TIMED_OUT"), ("requeue", "REQUEUED"), (None, "CANCELLED")],
)
def test_a_request_to_stop_says_how_the_run_ends(kind: str | None, event: str) -> None:
    stop = {"reason": "why", **({"kind": kind} if kind else {})}
    assert ended(report(75, stopped="request"), report(0), stop=stop) == Ended(event, "why")
    assert ended(report(0), report(0), stop=stop) == Ended("SUCCEEDED")  # it was over before it heard
