"""Which machines an environment has, and which it had in a period, as far as EC2 and the trail still know."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fleet.session import Session
from fleet.trail import TrailEvent
from stacks import naming

_STARTS = {("ec2.amazonaws.com", "RunInstances"), ("ec2.amazonaws.com", "CreateFleet")}
_ID = re.compile(r"i-[0-9a-f]{8}(?:[0-9a-f]{9})?")


@dataclass(frozen=True, kw_only=True)
class SeenMachine:
    """One machine that EC2 knows; it forgets one an hour after its end."""

    id: str
    role: str
    """`head`, `node`, or "" where it says none."""
    state: str
    """As EC2 calls it: `running`, `terminated`, ..."""
    started: datetime.datetime


def list_machines(session: Session) -> list[SeenMachine]:
    """Return the environment's machines, the newest first."""
    mine = [{"Name": f"tag:{naming.TAG_ENVIRONMENT}", "Values": [session.spec.name]}]
    pages = session.client("ec2").get_paginator("describe_instances").paginate(Filters=mine)
    found = [
        _machine(each) for page in pages for group in page["Reservations"] for each in group["Instances"]
    ]
    return sorted(found, key=lambda each: (each.started, each.id), reverse=True)


def _machine(described: Mapping[str, Any]) -> SeenMachine:
    tags = {tag["Key"]: tag["Value"] for tag in described.get("Tags", [])}
    return SeenMachine(
        id=described["InstanceId"],
        role=tags.get(naming.TAG_ROLE, ""),
        state=described["State"]["Name"],
        started=described["LaunchTime"],
    )


def started_in(calls: Iterable[TrailEvent], environment: str) -> Iterator[str]:
    """Yield the ids of machines that these calls started with the environment's tag."""
    for call in calls:
        if (call.source, call.name) in _STARTS and not call.error and call.names(environment):
            yield from (text for text in call.answers() if _ID.fullmatch(text))
