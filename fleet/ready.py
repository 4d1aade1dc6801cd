"""Whether the machines of an environment are there and answer, as EC2 and Systems Manager tell it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from fleet.session import Session
from fleet.terraform_events import ProgressEvent, Report
from stacks import naming

_POLL_SECONDS = 0.25
_LONGEST_POLL_SECONDS = 5.0


@dataclass(frozen=True, kw_only=True)
class Readiness:
    """How many machines answer, of how many."""

    wanted: int
    running: int
    online: int

    @property
    def complete(self) -> bool:
        """Whether every machine answers."""
        return self.online >= self.wanted

    def __str__(self) -> str:
        return f"{self.online} of {self.wanted} machines answer ({self.running} run)"


def wait_ready(session: Session, report: Report, *, timeout_s: float) -> Readiness:
    """Wait until the head and all nodes answer, at most `timeout_s` seconds; return how it stands."""
    deadline = time.monotonic() + timeout_s
    pause, before = _POLL_SECONDS, ""
    while True:
        now = readiness(session)
        if str(now) != before:
            stack, before = naming.fleet_stack(session.spec.name), str(now)
            report(ProgressEvent(kind="note", stack=stack, text=str(now), done=now.online, total=now.wanted))
        if now.complete or time.monotonic() + pause > deadline:
            return now
        time.sleep(pause)
        pause = min(pause * 1.3, _LONGEST_POLL_SECONDS)


def readiness(session: Session) -> Readiness:
    """Return how many of the environment's machines run and answer now."""
    running = {each["InstanceId"] for each in instances(session, ["running"])}
    pages = session.client("ssm").get_paginator("describe_instance_information").paginate()
    online = {
        each["InstanceId"]
        for page in pages
        for each in page["InstanceInformationList"]
        if each["PingStatus"] == "Online"
    }
    wanted = 1 + sum(fleet.nodes for fleet in session.spec.fleets.values())
    return Readiness(wanted=wanted, running=len(running), online=len(running & online))


def instances(session: Session, states: list[str]) -> Iterator[dict[str, Any]]:
    """Yield the environment's head and nodes that are in one of the states."""
    filters = [
        {"Name": f"tag:{naming.TAG_ENVIRONMENT}", "Values": [session.spec.name]},
        {"Name": f"tag:{naming.TAG_ROLE}", "Values": [naming.ROLE_HEAD, naming.ROLE_NODE]},
        {"Name": "instance-state-name", "Values": states},
    ]
    for page in session.client("ec2").get_paginator("describe_instances").paginate(Filters=filters):
        for reservation in page["Reservations"]:
            yield from reservation["Instances"]
