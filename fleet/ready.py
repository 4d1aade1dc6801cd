"""Whether the machines of an environment are there and answer, as EC2 and Systems Manager tell it.

And where they are not, why: the group that lacks them says what its last attempts to start them failed on. It
goes on trying by itself, and keeps what it has.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from fleet.instances import instances, is_elastic, tag_of
from fleet.job_queueing import SLURM, engine_of
from fleet.session import Session
from fleet.terraform_events import ProgressEvent, Report
from fleet.top import head_tells
from stacks import naming

_POLL_SECONDS = 0.25
_LONGEST_POLL_SECONDS = 5.0
_GIVE_UP_SECONDS = 120.0
"""How long we wait for nodes that there is no capacity for, while nothing changes and all others answer."""
_QUEUE_POLL_SECONDS = 1.0
_GROUP_TAG = "aws:autoscaling:groupName"
_ACTIVITIES = 20
"""How many of a group's latest activities are looked at."""


@dataclass(frozen=True, kw_only=True)
class Shortage:
    """A group that could not start as many machines as it is to have."""

    group: str
    lacks: int
    """How many machines are missing."""
    why: str
    """What its last failed attempt failed on, in AWS's words."""

    def __str__(self) -> str:
        machines = "machine" if self.lacks == 1 else "machines"
        return f"{self.group} lacks {self.lacks} {machines}, and goes on trying: {self.why}"


@dataclass(frozen=True, kw_only=True)
class Readiness:
    """How many machines answer, of how many that always stand."""

    wanted: int
    running: int
    online: int
    shortages: tuple[Shortage, ...] = ()
    """What could not be started, of what does not run."""

    @property
    def complete(self) -> bool:
        """Whether every machine answers."""
        return self.online >= self.wanted

    @property
    def nothing_more_starts(self) -> bool:
        """Whether all that runs answers, and all that is missing could not be started."""
        lacks = sum(each.lacks for each in self.shortages)
        return self.online == self.running and self.running + lacks >= self.wanted

    def __str__(self) -> str:
        return f"{self.online} of {self.wanted} machines answer ({self.running} run)"


def wait_ready(session: Session, report: Report, *, timeout_s: float) -> Readiness:
    """Wait until the head and all nodes answer, at most `timeout_s` seconds; return how it stands.

    And until the queue tells of itself: a head whose start failed answers too, without one.
    Shorter where capacity is missing: all that runs answers, and nothing has changed for two minutes.
    """
    since, deadline = datetime.now(UTC), time.monotonic() + timeout_s
    pause, before, changed = _POLL_SECONDS, "", time.monotonic()
    told: set[str] = set()
    while True:
        now = readiness(session, since)
        stack = naming.fleet_stack(session.spec.name)
        if str(now) != before:
            before, changed = str(now), time.monotonic()
            report(ProgressEvent(kind="note", stack=stack, text=str(now), done=now.online, total=now.wanted))
        for text in sorted({str(each) for each in now.shortages} - told):
            told.add(text)
            report(ProgressEvent(kind="warning", stack=stack, text=text))
        stuck = now.nothing_more_starts and time.monotonic() - changed > _GIVE_UP_SECONDS
        if now.complete:
            _wait_for_queue(session, report, deadline)
            return now
        if stuck or time.monotonic() + pause > deadline:
            return now
        time.sleep(pause)
        pause = min(pause * 1.3, _LONGEST_POLL_SECONDS)


def _wait_for_queue(session: Session, report: Report, deadline: float) -> None:
    """Wait until the head tells of its queue; where it does not in time, say where to look."""
    if engine_of(session.cloud.variables, session.spec.scheduler.kind) != SLURM:
        return
    stack, said = naming.fleet_stack(session.spec.name), False
    while not head_tells(session):
        if time.monotonic() + _QUEUE_POLL_SECONDS > deadline:
            text = "all machines answer, and the head node tells of no queue: no run starts; see"
            text += " /var/log/fleetform/boot.log on it"
            report(ProgressEvent(kind="warning", stack=stack, text=text))
            return
        if not said:
            report(ProgressEvent(kind="note", stack=stack, text="waiting for the head node's queue"))
            said = True
        time.sleep(_QUEUE_POLL_SECONDS)


def readiness(session: Session, since: datetime) -> Readiness:
    """Return how many of the environment's machines run and answer now, and what failed `since`, or last."""
    # Those that always stand are waited for; others come and go with the queue.
    found = [each for each in instances(session, ["running"]) if not is_elastic(each)]
    running = {each["InstanceId"] for each in found}
    pages = session.client("ssm").get_paginator("describe_instance_information").paginate()
    online = {
        each["InstanceId"]
        for page in pages
        for each in page["InstanceInformationList"]
        if each["PingStatus"] == "Online"
    }
    wanted = _wanted(session)
    there = Counter(tag_of(each, _GROUP_TAG) for each in found)
    lacking = {group: count - there[group] for group, count in wanted.items() if count > there[group]}
    return Readiness(
        wanted=sum(wanted.values()),
        running=len(running),
        online=len(running & online),
        shortages=tuple(_shortages(session, lacking, since)),
    )


def _wanted(session: Session) -> dict[str, int]:
    """Return how many machines each of the environment's groups is to have."""
    name = session.spec.name
    nodes = {naming.fleet_group(name, fleet): spec.nodes for fleet, spec in session.spec.fleets.items()}
    return {naming.head_group(name): 1, **nodes}


def _shortages(session: Session, lacking: Mapping[str, int], since: datetime) -> Iterator[Shortage]:
    """Yield the groups whose latest attempt failed, or any attempt of the time looked at."""
    scaling = session.client("autoscaling")
    for group, lacks in lacking.items():
        latest = scaling.describe_scaling_activities(AutoScalingGroupName=group, MaxRecords=_ACTIVITIES)
        for number, each in enumerate(latest["Activities"]):
            if each["StatusCode"] == "Failed" and (number == 0 or each["StartTime"] >= since):
                yield Shortage(group=group, lacks=lacks, why=each.get("StatusMessage", "no reason given"))
                break
