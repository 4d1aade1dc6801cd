"""What counts as progress of a run, when it is idle, and what is due then."""

from __future__ import annotations

import dataclasses
import datetime
import io
import json
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from fleet.runs import run_status
from node import dispatch_idle, idle
from node.dispatch_idle import DispatchIdle
from node.elastic import resume
from node.elastic.head import Head
from node.idle import IdlePolicy, Warned, look_for_cause, next_word, parse_policy
from node.layout import utc_text
from node.store import Bucket
from tests.cluster_facts import cluster_facts, fleet_told

START = 1_800_000_000.0
"""When the run began, seconds since the epoch."""
POLICY = IdlePolicy(step=1800, start=7200, grace=900)
RUN = "20261123-010203-abcde"


class S3:
    """A bucket in memory whose objects have the times that a test gives them."""

    def __init__(self) -> None:
        self.objects: dict[str, tuple[bytes, float]] = {}

    def get_object(self, **request: Any) -> dict[str, Any]:
        if request["Key"] not in self.objects:
            raise ClientError({"Error": {"Code": "NoSuchKey"}}, "GetObject")
        body, at = self.objects[request["Key"]]
        if request.get("Range") and not body:
            raise ClientError({"Error": {"Code": "InvalidRange"}}, "GetObject")
        count = int(request["Range"].rpartition("-")[2]) if "Range" in request else len(body)
        return {"Body": io.BytesIO(body[-count:]), "ETag": "", "LastModified": _moment(at)}

    def get_paginator(self, name: str) -> S3:
        return self

    def paginate(self, **request: Any) -> list[dict[str, Any]]:
        found = [
            {"Key": key, "LastModified": _moment(at)}
            for key, (_, at) in self.objects.items()
            if key.startswith(request["Prefix"])
        ]
        return [{"Contents": found}]


def _moment(at: float) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(int(at), datetime.UTC)


class Directory:
    """A run's directory, written at minutes after its start."""

    def __init__(self) -> None:
        self.s3 = S3()
        self.bucket = Bucket(self.s3, "memory")

    def events(self, *events: tuple[float, str, dict[str, Any]]) -> Directory:
        lines = [{"time": START + 60 * at, "event": event, "pid": 1, **more} for at, event, more in events]
        at = max(each[0] for each in events)
        return self.write("goodput.jsonl", "".join(json.dumps(line) + "\n" for line in lines), at)

    def metrics(self, *losses: Any, at: float) -> Directory:
        lines = [{"step": number, "loss": loss} for number, loss in enumerate(losses, start=1)]
        return self.write("metrics.jsonl", "".join(json.dumps(line) + "\n" for line in lines), at)

    def write(self, name: str, text: str, at: float) -> Directory:
        self.s3.objects[f"runs/{RUN}/{name}"] = text.encode(), START + 60 * at
        return self

    def cause(self, at: float, policy: IdlePolicy = POLICY, started: float = 0) -> str:
        """Return why the run is idle so many minutes after its start, "" where it is not."""
        return look_for_cause(self.bucket, policy, RUN, START + 60 * started, START + 60 * at)


BEGUN: tuple[tuple[float, str, dict[str, Any]], ...] = (
    (0, "job_started", {}),
    (0, "attempt_started", {}),
    (1, "first_output", {}),
    (2, "process_started", {}),
)
STEPS = (*BEGUN, (5, "first_step", {"step": 1}), (6, "steps", {"from": 2, "to": 90}))


def test_a_run_is_idle_once_its_last_step_lies_so_far_back() -> None:
    run = Directory().events(*STEPS)
    assert run.cause(35.9) == ""
    assert run.cause(36) == "no training step since 2027-01-15 08:06 UTC, the last was step 90"
    assert run.cause(90) == run.cause(36), "the same text at every look"


@pytest.mark.parametrize(
    "more",
    [
        (),
        ((40, "restored", {"step": 90}),),
        ((40, "rank_ended", {"code": 1}), (40, "attempt_ended", {}), (40, "attempt_started", {})),
    ],
    ids=["never had a step", "restored", "restarted"],
)
def test_before_the_first_step_of_a_start_the_longer_time_counts(more: tuple[Any, ...]) -> None:
    run = Directory().events(*BEGUN, *more)
    begun = 40 if more else 2
    assert run.cause(begun + 119) == ""
    assert run.cause(begun + 121).startswith("it has made no training step since its start at ")


def test_compiling_in_the_first_step_is_no_idleness_and_a_second_step_that_hangs_is() -> None:
    assert Directory().events(*BEGUN).cause(60) == ""
    assert Directory().events(*BEGUN, (60, "first_step", {"step": 1})).cause(91) != ""


def test_a_run_of_which_nothing_was_heard_yet_fetches_its_data() -> None:
    assert Directory().cause(119) == ""
    assert Directory().cause(121).startswith("it has made no training step")


@pytest.mark.parametrize("event", ["evaluation_started", "checkpoint_wait_started"])
def test_while_it_evaluates_or_saves_the_longer_time_counts_and_afterwards_it_has_made_progress(
    event: str,
) -> None:
    run = Directory().events(*STEPS, (10, event, {}))
    assert run.cause(129) == ""
    assert run.cause(131).startswith("it evaluates or saves since ")
    run.events(*STEPS, (10, event, {}), (60, event.removesuffix("_started"), {}))
    assert (run.cause(89) == "", run.cause(91) == "") == (True, False)


def test_a_checkpoint_written_in_the_background_is_no_progress() -> None:
    assert Directory().events(*STEPS, (30, "saved", {"step": 90})).cause(37) != ""


@pytest.mark.parametrize("event", ["stopped", "finished", "job_ended"])
def test_a_run_that_has_ended_or_was_told_to_stop_is_not_idle(event: str) -> None:
    assert Directory().events(*STEPS, (7, event, {})).cause(5000) == ""


def test_what_an_execution_before_this_one_has_written_says_nothing_of_it() -> None:
    run = (
        Directory()
        .events(*STEPS, (7, "stopped", {}))
        .metrics(0.5, float("nan"), float("nan"), float("nan"), at=7)
    )
    assert run.cause(200, started=100) == ""
    assert run.cause(221, started=100).startswith("it has made no training step since its start")


def test_a_run_that_uploads_is_not_idle_as_long_as_its_runner_lives() -> None:
    run = Directory().events(*STEPS)
    told = {"time": utc_text(START + 60 * 60), "state": "uploading"}
    run.write("alive/node-0.json", json.dumps(told), 60)
    assert run.cause(61) == ""
    assert run.cause(63) != "", "a sign that is two minutes old is none"


def test_any_programs_own_steps_count() -> None:
    run = Directory().events(*BEGUN[:3]).metrics(0.5, 0.4, at=40)
    assert run.cause(69) == ""
    assert run.cause(71) == "no training step since 2027-01-15 08:40 UTC, the last was step 2"


def test_a_step_of_the_starts_own_second_counts_though_s3_rounds_its_time_down() -> None:
    run = Directory().metrics(0.5, at=0)
    assert run.cause(31, started=0.9 / 60).startswith("no training step since ")


@pytest.mark.parametrize(
    ("losses", "lost"),
    [
        ((0.5, float("nan"), float("nan"), float("nan")), 2),
        ((float("inf"), "nan", float("nan")), 1),
        ((0.5, float("nan"), float("nan")), None),
        ((float("nan"), float("nan"), float("nan"), 0.4), None),
        ((float("nan"), float("nan"), None, float("nan")), 1),
    ],
    ids=[
        "three in a row",
        "of any kind",
        "two may be an overflow",
        "one again",
        "a line without one between",
    ],
)
def test_a_loss_that_is_no_number_any_more_makes_a_run_idle_at_once(
    losses: tuple[Any, ...], lost: int | None
) -> None:
    cause = Directory().events(*STEPS).metrics(*losses, at=7).cause(7.5)
    assert cause == ("" if lost is None else f"its loss is no number since step {lost}")


@pytest.mark.parametrize(
    ("rule", "grown", "at", "idle_then"),
    [
        ("leave", 1, 5000, False),
        ("log", 50, 79, False),
        ("log", 50, 81, True),
        ("stop", 119, 120, False),
        ("stop", 119, 122, True),
    ],
)
def test_a_program_that_tells_of_no_steps_is_idle_by_the_rule_that_was_chosen(
    rule: str, grown: float, at: float, idle_then: bool
) -> None:
    run = Directory().events(*BEGUN[:3]).write("logs/node-1.log.part-4096", "still here", grown)
    policy = IdlePolicy(step=1800, start=7200, grace=900, without_steps=rule)
    assert bool(run.cause(at, policy)) is idle_then


def test_without_a_limit_no_run_is_idle() -> None:
    policy = IdlePolicy(step=0, start=7200, grace=900)
    assert Directory().events(*STEPS).cause(50_000, policy) == ""


def test_lines_that_are_cut_off_or_are_none_of_ours_are_passed_over() -> None:
    text = 'cut": 1}\n[1]\n{"event": "steps", "to": 9, "time": "soon"}\n' + json.dumps(
        {"time": START + 360, "event": "steps", "to": 90}
    )
    run = Directory().write("goodput.jsonl", text + '\n{"time": 18000', 6)
    assert run.cause(37).endswith("the last was step 90")
    assert Directory().write("goodput.jsonl", "", 1).write("metrics.jsonl", "", 1).cause(10) == ""


def test_a_warning_comes_first_the_stop_after_its_time_and_progress_ends_both() -> None:
    warned = Warned("no training step", START + 900)
    assert next_word("", None, START) == ""
    assert next_word("no training step", None, START) == idle.WARN
    assert next_word("no training step", warned, START + 899) == ""
    assert next_word("another reason", warned, START + 900) == idle.END
    assert next_word("", warned, START + 899) == idle.GO_ON
    assert warned.detail() == {
        "reason": "idle: no training step; it is stopped at 2027-01-15 08:15 UTC unless it goes on",
        "stops": "2027-01-15T08:15:00.000Z",
    }


def test_a_policy_that_is_missing_or_of_another_version_leaves_runs_alone() -> None:
    assert parse_policy(None) is None
    assert parse_policy(b'{"version": 2}') is None


class Ec2:
    """What a dispatcher says on its nodes."""

    def __init__(self) -> None:
        self.tags: list[tuple[str, str]] = []

    def create_tags(self, Resources: list[str], Tags: list[dict[str, str]]) -> None:  # noqa: N803 - EC2's names
        assert Resources == ["i-1"]
        self.tags += [(tag["Key"], tag["Value"].partition(" ")[0]) for tag in Tags]


def test_a_dispatcher_warns_takes_it_back_where_the_run_goes_on_and_stops_it_where_it_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run, ec2, said = Directory().metrics(0.5, at=1), Ec2(), list[tuple[str, Any]]()
    policy = {
        "version": 1, "step_minutes": 30, "start_minutes": 120, "grace_minutes": 15,
        "without_steps": "leave", "marks_nodes": True, "groups": {},
    }  # fmt: skip
    run.s3.objects[idle.POLICY_KEY] = json.dumps(policy).encode(), START
    clock = [START]
    monkeypatch.setattr(dispatch_idle, "client", lambda service, region: ec2)
    monkeypatch.setattr("node.dispatch_idle.time.time", lambda: clock[0])
    watch = DispatchIdle(run.bucket, "us-east-1", RUN, lambda event, detail: said.append((event, detail)))

    def at(minute: float) -> str:
        clock[0] = START + 60 * minute
        return watch()

    watch.claimed(["i-1"])
    assert watch._marking is not None
    watch._marking.join()
    watch.ordered()
    # Only ten minutes later it is seen that all nodes have begun: the step that was made meanwhile counts.
    assert at(10) == ""
    watch.started()
    assert (at(11), at(30), said) == ("", "", [])
    assert at(32) == "" and [event for event, _ in said] == ["IDLE"]
    run.metrics(0.5, 0.4, at=40)
    assert at(41) == "" and said[-1] == ("IDLE", {"reason": "it makes progress again"})
    assert at(71) == "" and at(85) == "" and len(said) == 3
    assert at(86.1) == "idle: no training step since 2027-01-15 08:40 UTC, the last was step 2"
    watch.freed()
    told = [value for key, value in ec2.tags if key == "fleetform:idle-run"]
    assert told == ["warned", "", "warned", "stopped"]
    assert [value for key, value in ec2.tags if key == "fleetform:work"] == ["busy", "free"]


def event(name: str, second: int, **detail: Any) -> dict[str, Any]:
    return {"time": f"2026-01-01T00:00:{second:02}.000Z", "event": name, "detail": detail}


def test_an_idle_run_still_runs_says_why_and_what_follows_ends_that() -> None:
    run = {
        "recipe": "digits", "script": "", "fleet": "gpu", "nodes": 1, "procs_per_node": 1, "actor": "ann",
        "submitted": "2026-01-01T00:00:00.000Z",
    }  # fmt: skip
    begun = [event("QUEUED", 0), event("PROVISIONING", 1, nodes=[]), event("RUNNING", 2)]
    warned = event("IDLE", 30, reason="idle: no training step", stops="2026-01-01T00:01:00.000Z")
    found = run_status(RUN, run, [*begun, warned])
    assert (found.state, found.active, found.started) == ("RUNNING", True, begun[-1]["time"])
    assert (found.idle, found.cause) == ("idle: no training step", "idle: no training step")
    again = run_status(RUN, run, [*begun, warned, event("IDLE", 40, **idle.GOES_ON)])
    assert (again.state, again.idle, again.cause) == ("RUNNING", "", "")
    ended = run_status(RUN, run, [*begun, warned, event("TIMED_OUT", 50, cause="idle: no training step")])
    assert (ended.state, ended.idle, ended.ended) == ("TIMED_OUT", "", "2026-01-01T00:00:50.000Z")


class Scaling:
    """Auto Scaling with one group, which was set to zero."""

    def __init__(self, **group: Any) -> None:
        self.group = {"MaxSize": 4, "DesiredCapacity": 0, "SuspendedProcesses": [], **group}

    def describe_auto_scaling_groups(self, **request: Any) -> dict[str, Any]:
        return {"AutoScalingGroups": [self.group] if request["AutoScalingGroupNames"] == ["lab-gpu"] else []}

    def set_desired_capacity(self, **request: Any) -> None:
        self.group["DesiredCapacity"] = request["DesiredCapacity"]


def test_slurm_starts_nodes_that_stand_again_where_idle_ones_were_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scaling = Scaling()
    monkeypatch.setattr(resume, "client", lambda service, region: scaling)
    facts = cluster_facts(marks_nodes=True, fleets={"gpu": fleet_told(nodes=3, group="lab-gpu")})
    head = Head(facts, None, tmp_path, tmp_path / "elastic.log")
    resume._wake(head, ["gpu-1"])
    assert scaling.group["DesiredCapacity"] == 3, "all that are declared to stand"
    assert "its group is to have 3 nodes again" in (tmp_path / "elastic.log").read_text()
    scaling.group |= {"DesiredCapacity": 0, "SuspendedProcesses": [{"ProcessName": "Launch"}]}
    resume._wake(head, ["gpu-1"])
    assert scaling.group["DesiredCapacity"] == 0, "where the lease is over nothing is woken"
    scaling.group["SuspendedProcesses"] = []
    quiet = dataclasses.replace(head, facts=dataclasses.replace(facts, marks_nodes=False))
    resume._wake(quiet, ["gpu-1"])
    assert scaling.group["DesiredCapacity"] == 0


def test_a_dispatcher_wakes_its_fleet_for_as_many_nodes_as_its_run_has_and_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run, scaling, said = Directory(), Scaling(), list[tuple[str, Any]]()
    policy = {
        "version": 1, "step_minutes": 0, "start_minutes": 120, "grace_minutes": 15,
        "without_steps": "leave", "marks_nodes": True, "groups": {"gpu": {"name": "lab-gpu", "nodes": 3}},
    }  # fmt: skip
    run.s3.objects[idle.POLICY_KEY] = json.dumps(policy).encode(), START
    monkeypatch.setattr(dispatch_idle, "client", lambda service, region: scaling)
    watch = DispatchIdle(run.bucket, "us-east-1", RUN, lambda event, detail: said.append((event, detail)))
    watch.wake("other", 2)
    assert (scaling.group["DesiredCapacity"], said) == (0, [])
    watch = DispatchIdle(run.bucket, "us-east-1", RUN, lambda event, detail: said.append((event, detail)))
    watch.wake("gpu", 2)
    watch.wake("gpu", 2)
    assert scaling.group["DesiredCapacity"] == 2
    assert said == [("QUEUED", {"reason": "the fleet gpu was idle and without nodes: 2 start"})]
