"""When each environment's lease ends: the earliest of all that says so.

Two things say it, and neither alone can be trusted to stand: the one-time schedule of the environment, and
the tag of each of its Auto Scaling groups. Terraform changes the schedule first and the groups after it, so
after an extension that stopped half-way the groups still say the old day, and the old day holds. Whoever
takes one of the two away, or sets it to a later day, is held to the other.
"""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reaper.aws import Aws, error_code
from reaper.names import SCHEDULE_PREFIX

_AT = re.compile(r"^at\((\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2})\)$")


@dataclass(frozen=True, kw_only=True)
class Lease:
    """What an environment's schedule says."""

    environment: str
    region: str
    """Where the environment stands."""
    ends: datetime.datetime
    topic: str
    """ARN of the topic of its own people."""
    warn_days: tuple[int, ...]


def read_leases(aws: Aws) -> list[Lease]:
    """Return what every environment's schedule says; one that cannot be understood is no schedule."""
    scheduler = aws.client("scheduler")
    found = []
    for page in scheduler.get_paginator("list_schedules").paginate(NamePrefix=SCHEDULE_PREFIX):
        for each in page["Schedules"]:
            try:
                described = scheduler.get_schedule(GroupName=each["GroupName"], Name=each["Name"])
            except Exception as error:
                if error_code(error) != "ResourceNotFoundException":
                    raise
                continue  # deleted meanwhile
            lease = parse_schedule(described)
            if lease is None:
                print(f"the schedule {each['Name']} is not understood; the groups' tags hold")
            else:
                found.append(lease)
    return found


def parse_schedule(described: Mapping[str, Any]) -> Lease | None:
    """Return the lease that a schedule stands for, whether it is enabled or not; None where it is no such."""
    at = _AT.match(described["ScheduleExpression"])
    if not at or described.get("ScheduleExpressionTimezone", "UTC") != "UTC":
        return None
    try:
        about = json.loads(described["Target"]["Input"])
        return Lease(
            environment=str(about["environment"]),
            region=str(about["region"]),
            ends=datetime.datetime.fromisoformat(at.group(1)).replace(tzinfo=datetime.UTC),
            topic=str(about["topic"]),
            warn_days=tuple(int(day) for day in about["warn_days"]),
        )
    except (KeyError, TypeError, ValueError):
        return None


def parse_tag(value: str | None) -> datetime.datetime:
    """Return the moment that a tag's day ends, midnight UTC after it.

    A group whose tag is missing or is no day has ended long ago: the stacks always write one, and taking it
    away must not be a way out.
    """
    try:
        day = datetime.date.fromisoformat(value or "")
    except ValueError:
        return datetime.datetime.min.replace(tzinfo=datetime.UTC)
    midnight = datetime.datetime.combine(day, datetime.time(), datetime.UTC)
    return midnight + datetime.timedelta(days=1)


def days_left(ends: datetime.datetime, now: datetime.datetime) -> int:
    """Return how many days of the lease are left: 0 on its last day, 1 on the day before."""
    return (ends - now) // datetime.timedelta(days=1)


def to_warn(leases: Sequence[Lease], now: datetime.datetime) -> list[tuple[Lease, int]]:
    """Return the leases that are to be warned of today, with the days that are left."""
    return [
        (lease, left)
        for lease in leases
        if (left := days_left(lease.ends, now)) >= 0 and left in lease.warn_days
    ]
