"""The end of a lease under Slurm: the head goes first, for its queue starts nodes in place of those gone."""

from __future__ import annotations

import datetime
import time
from collections.abc import Iterator
from typing import Any

import pytest

from reaper import handler, machines, names
from reaper.handler import Call, _end, _look
from reaper.leases import Lease
from reaper.record import Record
from stacks import naming

NOW = datetime.datetime(2026, 12, 1, 12, 0, tzinfo=datetime.UTC)
HERE = "us-east-1"


class Queue:
    """EC2 and Auto Scaling with a head that starts another node for each that ends, as long as it lives.

    The head takes two looks to end, and what it starts is listed one look late.
    """

    def __init__(self, *, stubborn: bool = False) -> None:
        self.states = {"i-head": "running", "i-1": "running", "i-2": "running"}
        self.unlisted: set[str] = set()
        self.ended: list[str] = []
        self.looks_to_end, self.stubborn = 2, stubborn

    def client(self, service: str, region: str = "") -> Any:
        """Stand in for every client."""
        return self

    def get_paginator(self, act: str) -> Any:
        """Return the one that pages the act's answer."""
        return {"describe_instances": _Pages(self.describe_instances)}.get(act, _Pages(self.groups))

    def groups(self, **_: Any) -> dict[str, Any]:
        """Tell of the head's group, whose lease is over."""
        tags = {names.TAG_ENVIRONMENT: "vision", names.TAG_LEASE_ENDS: "2026-11-01"}
        return {
            "AutoScalingGroups": [
                {
                    "AutoScalingGroupName": "vision-head",
                    "MinSize": 1,
                    "DesiredCapacity": 1,
                    "Instances": [{"InstanceId": "i-head"}],
                    "Tags": _pairs(tags),
                }
            ]
        }

    def describe_instances(self, **request: Any) -> dict[str, Any]:
        """List those that are in one of the states asked for, and are listed yet."""
        asked = {each["Name"]: each["Values"] for each in request["Filters"]}
        shown = [
            name
            for name, state in self.states.items()
            if state in asked["instance-state-name"] and name not in self.unlisted
        ]
        if "instance-id" in asked:
            shown = [name for name in shown if name in asked["instance-id"]]
            self.looks_to_end -= 1
            if self.looks_to_end == 0 and not self.stubborn:
                self.states["i-head"] = "terminated"
        else:
            self.unlisted.clear()
        return {"Reservations": [{"Instances": [_instance(name)]} for name in shown]}

    def terminate_instances(self, **request: Any) -> None:
        """End machines; the head, if it lives, starts another in place of each node."""
        for name in request["InstanceIds"]:
            self.ended.append(name)
            self.states[name] = "shutting-down" if name == "i-head" else "terminated"
            if name == "i-head":
                self._start("i-last")
            elif self.states["i-head"] != "terminated":
                self._start(f"{name}-again")

    def _start(self, name: str) -> None:
        self.states[name] = "running"
        self.unlisted.add(name)

    def suspend_processes(self, **_: Any) -> None:
        """Do nothing."""

    update_auto_scaling_group = suspend_processes


class _Pages:
    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def paginate(self, **asked: Any) -> Iterator[dict[str, Any]]:
        yield self.answer(**asked)


def _pairs(tags: dict[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def _instance(name: str) -> dict[str, Any]:
    role = naming.ROLE_HEAD if name == "i-head" else naming.ROLE_NODE
    tags = {naming.TAG_ENVIRONMENT: "vision", naming.TAG_ROLE: role}
    tags |= {"aws:autoscaling:groupName": "vision-head"} if name == "i-head" else {naming.TAG_LAUNCH: "l-1"}
    return {"InstanceId": name, "Tags": _pairs(tags)}


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch) -> Call:
    """A call of the reaper without pauses, in the presence of a queue."""
    monkeypatch.setattr(machines, "_POLL_SECONDS", 0.01)
    monkeypatch.setattr(handler, "_LATE_SECONDS", 0.01)
    monkeypatch.setattr(handler, "_kept", lambda call, work: [])
    monkeypatch.setattr(Record, "append", lambda *_: None)
    queue: Any = Queue()
    ends = NOW - datetime.timedelta(days=1)
    leases = [Lease(environment="vision", region=HERE, ends=ends, topic="", warn_days=())]
    return Call(queue, Record.__new__(Record), NOW, leases, alerts="", heads_gone_by=time.monotonic() + 5)


def test_no_node_that_the_queue_starts_meanwhile_outlives_the_lease(call: Call) -> None:
    queue: Any = call.aws
    failures, done = _end(call, _look(call, [HERE])[1])
    assert (failures, done) == ([], ["vision (us-east-1)"])
    assert queue.ended == ["i-head", "i-1", "i-2", "i-last"], "the head first, and what it started last"
    assert set(queue.states.values()) == {"terminated"}


def test_a_head_that_does_not_end_in_time_keeps_no_node_running_and_is_a_failure(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue: Any = call.aws
    queue.stubborn = True
    object.__setattr__(call, "heads_gone_by", 0.0)
    failures, _ = _end(call, _look(call, [HERE])[1])
    assert any("still shutting down" in each for each in failures), "Lambda calls again after a failure"
    assert {"i-1", "i-2", "i-last"} <= set(queue.ended)


def test_a_head_whose_group_cannot_be_set_to_zero_is_left_for_it_would_come_again(call: Call) -> None:
    queue: Any = call.aws

    def refused(**_: Any) -> None:
        raise RuntimeError("refused")

    queue.update_auto_scaling_group = refused
    failures, _ = _end(call, _look(call, [HERE])[1])
    assert failures[0].startswith("vision-head") and "i-head" not in queue.ended
    assert {"i-1", "i-2"} <= set(queue.ended)


def test_the_tags_that_tell_a_head_are_those_of_the_stacks() -> None:
    assert (names.TAG_ROLE, names.ROLE_HEAD) == (naming.TAG_ROLE, naming.ROLE_HEAD)
