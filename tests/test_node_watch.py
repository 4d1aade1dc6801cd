"""Stopping a gang: a runner that uploads is waited for, one that is stuck is ended."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from node import alive, watch
from node.alive import Heart
from node.instances import Instance
from node.layout import alive_name, run_key
from node.store import Bucket
from node.watch import Part, Watch
from tests.sandbox_helpers import wait_for


class S3:
    """A bucket in memory: hours of looks would take minutes over HTTP."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}

    def get_object(self, **request: Any) -> dict[str, Any]:
        if request["Key"] not in self.objects:
            raise ClientError({"Error": {"Code": "NoSuchKey"}}, "GetObject")
        return {"Body": io.BytesIO(self.objects[request["Key"]]), "ETag": ""}

    def put_object(self, **request: Any) -> dict[str, Any]:
        self.objects[request["Key"]] = request["Body"]
        return {"ETag": ""}


@pytest.fixture
def bucket() -> Bucket:
    return Bucket(S3(), "memory")


class Clock:
    """Stands for the module `time`: only sleeping takes time, and at each sleep the world goes on."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.turn: Callable[[float], None] = lambda seconds: None

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.turn(self.now - 1000.0)


class Agent:
    """Systems Manager with one command on a node; what it was asked to cancel is kept with the time."""

    def __init__(self, clock: Clock, *, obeys: bool) -> None:
        self.clock, self.obeys = clock, obeys
        self.status, self.code = "InProgress", -1
        self.cancelled: list[float] = []

    def get_command_invocation(self, **request: Any) -> dict[str, Any]:
        return {"Status": self.status, "ResponseCode": self.code}

    def cancel_command(self, **request: Any) -> None:
        self.cancelled.append(self.clock.now - 1000.0)
        if self.obeys:
            self.status = "Cancelled"


class Machines:
    """EC2 with the node running."""

    def get_paginator(self, name: str) -> Machines:
        return self

    def paginate(self, **request: Any) -> list[dict[str, Any]]:
        return [{"Reservations": [{"Instances": [{"InstanceId": "i-0", "State": {"Name": "running"}}]}]}]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    for module in (watch, alive):
        monkeypatch.setattr(module, "time", clock)
    return clock


def watching(bucket: Bucket, agent: Agent, minutes: float = 600) -> Watch:
    part = Part(0, Instance("i-0", "10.0.0.1", "g5.xlarge"), "command")
    return Watch(agent, Machines, bucket, "r", [part], minutes * 60, lambda: None)


def sign(bucket: Bucket, at: float, state: str) -> None:
    body = {"time": str(at), "state": state}
    bucket.put(run_key("r", alive_name(0)), json.dumps(body).encode())


def test_a_runner_that_uploads_for_half_an_hour_after_a_stop_is_left_to_it(
    bucket: Bucket, clock: Clock
) -> None:
    agent = Agent(clock, obeys=True)
    bucket.put(run_key("r", "cancel.json"), b'{"actor": "somebody"}')

    def turn(at: float) -> None:
        sign(bucket, at // 15, "uploading")
        if at > 1800:
            agent.status, agent.code = "Success", 0

    clock.turn = turn
    verdict = watching(bucket, agent).until_end()
    assert (verdict.event, verdict.cause) == ("CANCELLED", "cancelled by somebody")
    assert agent.cancelled == []


def test_a_runner_that_gives_no_sign_of_life_is_ended_after_the_silence(bucket: Bucket, clock: Clock) -> None:
    agent = Agent(clock, obeys=True)
    bucket.put(run_key("r", "cancel.json"), b'{"actor": "somebody"}')
    clock.turn = lambda at: sign(bucket, 0, "stopping")  # it said so once, and then was stuck
    watching(bucket, agent).until_end()
    (when,) = agent.cancelled
    assert 150 < when < 160


def test_a_node_whose_runner_cannot_even_be_ended_is_given_up(bucket: Bucket, clock: Clock) -> None:
    agent = Agent(clock, obeys=False)
    bucket.put(run_key("r", "cancel.json"), b'{"actor": "somebody"}')
    assert watching(bucket, agent).until_end().event == "CANCELLED"
    assert len(agent.cancelled) == 1


def test_an_upload_without_end_is_ended_after_an_hour(bucket: Bucket, clock: Clock) -> None:
    agent = Agent(clock, obeys=True)
    bucket.put(run_key("r", "cancel.json"), b'{"actor": "somebody"}')
    clock.turn = lambda at: sign(bucket, at // 15, "uploading")
    watching(bucket, agent).until_end()
    (when,) = agent.cancelled
    assert 3600 < when < 3610


@pytest.mark.parametrize(("state", "event"), [("uploading", "SUCCEEDED"), ("stopping", "TIMED_OUT")])
def test_the_limit_of_a_run_counts_its_job_and_not_its_uploads(
    bucket: Bucket, clock: Clock, state: str, event: str
) -> None:
    agent = Agent(clock, obeys=True)

    def turn(at: float) -> None:
        sign(bucket, at // 15, state)
        if at > 900:
            agent.status, agent.code = "Success", 0

    clock.turn = turn
    assert watching(bucket, agent, minutes=10).until_end().event == event


def test_a_run_that_still_uploads_an_hour_after_its_limit_is_stopped(bucket: Bucket, clock: Clock) -> None:
    agent = Agent(clock, obeys=True)
    clock.turn = lambda at: sign(bucket, at // 15, "uploading")
    verdict = watching(bucket, agent, minutes=10).until_end()
    assert verdict.cause == "it took longer than its limit of 10 minutes and the 60 for its uploads"


def test_a_heart_tells_each_state_and_beats_on(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alive, "BEAT_SECONDS", 0.05)
    heart, key = Heart(bucket, "r", 0), run_key("r", alive_name(0))
    heart.say("stopping")
    first = wait_for(lambda: bucket.get(key))
    assert wait_for(lambda: bucket.get(key) != first)
    heart.say("uploading")
    assert wait_for(lambda: json.loads(bucket.get(key) or b"")["state"] == "uploading")
    monkeypatch.setattr(alive, "BEAT_SECONDS", 600)


class Gang:
    """Systems Manager with a command on each of several nodes and its exit code; None still runs."""

    def __init__(self, *codes: int | None) -> None:
        self.codes = codes

    def get_command_invocation(self, **request: Any) -> dict[str, Any]:
        code = self.codes[int(request["InstanceId"][2:])]
        status = "InProgress" if code is None else "Success" if code == 0 else "Failed"
        return {"Status": status, "ResponseCode": -1 if code is None else code}

    def get_paginator(self, name: str) -> Gang:
        return self

    def paginate(self, **request: Any) -> list[dict[str, Any]]:
        """Describe the machines: those whose command has no end are gone."""
        rows = [
            {"InstanceId": f"i-{rank}", "State": {"Name": "terminated" if code is None else "running"}}
            for rank, code in enumerate(self.codes)
        ]
        return [{"Reservations": [{"Instances": rows}]}]


@pytest.mark.parametrize(
    ("codes", "event"),
    [
        ((75, 75), "PREEMPTED"),
        ((75, None), "PREEMPTED"),  # its machine has ended, as EC2 had said
        ((75, 0), "PREEMPTED"),
        ((75, 1), "FAILED"),
        ((0, None), "FAILED"),
        ((0, 0), "SUCCEEDED"),
    ],
)
def test_a_gang_that_saved_and_asks_to_be_run_again_is_preempted(
    bucket: Bucket, clock: Clock, codes: tuple[int | None, ...], event: str
) -> None:
    gang = Gang(*codes)
    parts = [Part(rank, Instance(f"i-{rank}", "10.0.0.1", "g5.xlarge"), "command") for rank in (0, 1)]
    clock.now += 100.0
    begun = Watch(gang, lambda: gang, bucket, "r", parts, 600.0, lambda: None)
    clock.now += 5.0  # so that the machines are looked at with the commands
    assert begun.until_end().event == event


def test_a_run_that_makes_no_progress_is_stopped_as_one_whose_time_is_over(
    bucket: Bucket, clock: Clock
) -> None:
    agent, stopped = Agent(clock, obeys=True), run_key("r", "stop.json")

    def turn(at: float) -> None:
        if bucket.get(stopped):
            agent.status, agent.code = "Success", 75

    clock.turn = turn
    part = Part(0, Instance("i-0", "10.0.0.1", "g5.xlarge"), "command")
    said = iter(["", "", "idle: no training step"])
    watched = Watch(agent, Machines, bucket, "r", [part], 600, lambda: None, lambda: next(said, ""))
    verdict = watched.until_end()
    assert (verdict.event, verdict.cause) == ("TIMED_OUT", "idle: no training step")
    assert json.loads(bucket.get(stopped) or b"")["reason"] == "idle: no training step"
