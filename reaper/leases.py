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
from reaper.names import SCHEDULE_PREFIX, schedule_name, schedule_role

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


def read_leases(aws: Aws, function_arn: str) -> tuple[list[Lease], list[str]]:
    """Return what every environment's schedule says, and what could not be read; `function_arn` is our own.

    Whoever may create schedules may give one any name and any content, so none of them may keep the others
    from being read, and only those that the stacks make are believed (`is_ours`).
    """
    scheduler = aws.client("scheduler")
    found: list[Lease] = []
    failures: list[str] = []
    try:
        for page in scheduler.get_paginator("list_schedules").paginate(NamePrefix=SCHEDULE_PREFIX):
            for each in page["Schedules"]:
                if each["GroupName"] != each["Name"]:  # of somebody else's group, which we may not read
                    print(f"{each['GroupName']}/{each['Name']} is no environment's schedule")
                    continue
                try:
                    found += _read(scheduler, each["Name"], function_arn)
                except Exception as error:
                    failures.append(f"the schedule {each['Name']} cannot be read: {error}")
    except Exception as error:
        failures.append(f"the schedules cannot be listed: {error}")
    return found, failures


def _read(scheduler: Any, name: str, function_arn: str) -> list[Lease]:
    """Return the lease that a schedule in the group of its name stands for, nothing where it is none."""
    try:
        described = scheduler.get_schedule(GroupName=name, Name=name)
    except Exception as error:
        if error_code(error) != "ResourceNotFoundException":
            raise
        return []  # deleted meanwhile
    lease = parse_schedule(described)
    if lease is None or not is_ours(described, lease, function_arn):
        print(f"the schedule {name} is not as the stacks make it; the groups' tags hold")
        return []
    return [lease]


def is_ours(described: Mapping[str, Any], lease: Lease, function_arn: str) -> bool:
    """Return whether a schedule is the environment's own: by its name, and by what it calls with which role.

    Only these may say when the environment ends: the rights to a schedule go by its name, and a role can be
    handed on only by whom IAM allows that.
    """
    own = schedule_name(lease.environment, lease.region)
    parts = function_arn.split(":")
    role = f"arn:{parts[1]}:iam::{parts[4]}:role/{schedule_role(lease.environment, lease.region)}"
    target = described["Target"]
    return (described["GroupName"], described["Name"], target["Arn"], target["RoleArn"]) == (
        own,
        own,
        function_arn,
        role,
    )


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
    except (KeyError, TypeError, ValueError, OverflowError):
        return None


def parse_tag(value: str | None) -> datetime.datetime:
    """Return the moment that a tag's day ends, midnight UTC after it.

    A group whose tag is missing or is no day has ended long ago: the stacks always write one, and taking it
    away must not be a way out. Nor is the last day that there is, after which there is no midnight.
    """
    try:
        day = datetime.date.fromisoformat(value or "")
        return datetime.datetime.combine(day, datetime.time(), datetime.UTC) + datetime.timedelta(days=1)
    except (ValueError, OverflowError):
        return datetime.datetime.min.replace(tzinfo=datetime.UTC)


def latest_end(now: datetime.datetime, max_days: int) -> datetime.datetime:
    """Return the furthest moment that a lease may end at today, where `max_days` is the account's limit."""
    midnight = datetime.datetime.combine(now.date(), datetime.time(), datetime.UTC)
    return midnight + datetime.timedelta(days=max_days + 1)


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
