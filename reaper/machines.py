"""The machines of the environments in one region, and what is done to them when a lease has ended."""

from __future__ import annotations

import datetime
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from reaper.aws import Aws
from reaper.leases import parse_tag
from reaper.names import (
    ROLE_HEAD,
    TAG_ENVIRONMENT,
    TAG_FLEET,
    TAG_GROUP,
    TAG_IDLE,
    TAG_IDLE_RUN,
    TAG_IDLE_TOLD,
    TAG_IDLE_WARNED,
    TAG_LEASE_ENDS,
    TAG_ROLE,
    TAG_WORK,
)

HELD_BACK = ("Launch", "ScheduledActions", "AlarmNotification")
"""Processes of a group that could start machines again. Terminate goes on: it ends those that run."""
_ALIVE = ("pending", "running", "stopping", "stopped")
HEAD_SECONDS = 150.0
"""How long one call of the reaper waits for head nodes to be gone, all environments together."""
_POLL_SECONDS = 2.0


@dataclass(frozen=True, kw_only=True)
class Group:
    """An Auto Scaling group of an environment."""

    name: str
    environment: str
    ends: datetime.datetime
    """When its own tag says that the lease ends."""
    smallest: int
    wanted: int
    suspended: frozenset[str]
    instances: frozenset[str]
    protected: tuple[str, ...]
    """Instances that it would not end by itself."""
    fleet: str = ""
    """The fleet whose nodes it holds, "" of the head's."""
    idle: str = ""
    """The environment's policy on nodes without a run, "" where it has none: reaper/idle.py."""

    @property
    def at_rest(self) -> bool:
        """Whether it holds nothing and starts nothing."""
        return self.smallest == self.wanted == 0 and set(HELD_BACK) <= self.suspended


@dataclass(frozen=True, kw_only=True)
class Machine:
    """An instance with an environment's tag, that has not ended."""

    id: str
    environment: str
    ends: datetime.datetime | None
    """When its own tag says that the lease ends, None where it has none."""
    head: bool = False
    """Whether it is a head node, which may start other machines as long as it lives."""
    group: str = ""
    """The Auto Scaling group that started it, "" where none did."""
    launched: datetime.datetime | None = None
    idle: str = ""
    """The policy on nodes without a run that it was started under, "" for none."""
    work: str = ""
    """What the head says of its having a run, "" for nothing."""
    idle_run: str = ""
    """What the head says of an idle run on it, "" for nothing."""
    told: str = ""
    """Of `idle_run`, what is on record."""
    warned: str = ""
    """What is on record of its being idle: `SINCE AT`."""


@dataclass(frozen=True)
class Region:
    """What stands in one region."""

    name: str
    groups: tuple[Group, ...]
    machines: tuple[Machine, ...]


@dataclass
class Done:
    """What was done to one environment in one region, and what could not be."""

    groups: dict[str, int] = field(default_factory=dict)
    """Groups that were set to zero, with the machines that they wanted until then."""
    machines: list[str] = field(default_factory=list)
    """Instances that were ended one by one."""
    failures: list[str] = field(default_factory=list)


def look(aws: Aws, region: str) -> Region:
    """Return every group and machine in the region that has an environment's tag."""
    return Region(region, tuple(_groups(aws, region)), tuple(_machines(aws, region)))


def _groups(aws: Aws, region: str) -> Iterator[Group]:
    pages = aws.client("autoscaling", region).get_paginator("describe_auto_scaling_groups")
    for page in pages.paginate(Filters=[{"Name": "tag-key", "Values": [TAG_ENVIRONMENT]}]):
        for each in page["AutoScalingGroups"]:
            tags = _tags(each)
            instances = each.get("Instances", [])
            yield Group(
                name=each["AutoScalingGroupName"],
                environment=tags[TAG_ENVIRONMENT],
                ends=parse_tag(tags.get(TAG_LEASE_ENDS)),
                smallest=each["MinSize"],
                wanted=each["DesiredCapacity"],
                suspended=frozenset(one["ProcessName"] for one in each.get("SuspendedProcesses", [])),
                instances=frozenset(one["InstanceId"] for one in instances),
                protected=tuple(
                    one["InstanceId"] for one in instances if one.get("ProtectedFromScaleIn", False)
                ),
                fleet=tags.get(TAG_FLEET, ""),
                idle=tags.get(TAG_IDLE, ""),
            )


def _machines(aws: Aws, region: str) -> Iterator[Machine]:
    filters = [
        {"Name": "tag-key", "Values": [TAG_ENVIRONMENT]},
        {"Name": "instance-state-name", "Values": list(_ALIVE)},
    ]
    for page in aws.client("ec2", region).get_paginator("describe_instances").paginate(Filters=filters):
        for reservation in page["Reservations"]:
            for each in reservation["Instances"]:
                tags = _tags(each)
                day = tags.get(TAG_LEASE_ENDS)
                yield Machine(
                    id=each["InstanceId"],
                    environment=tags[TAG_ENVIRONMENT],
                    ends=parse_tag(day) if day else None,
                    head=tags.get(TAG_ROLE) == ROLE_HEAD,
                    group=tags.get(TAG_GROUP, ""),
                    launched=each.get("LaunchTime"),
                    idle=tags.get(TAG_IDLE, ""),
                    work=tags.get(TAG_WORK, ""),
                    idle_run=tags.get(TAG_IDLE_RUN, ""),
                    told=tags.get(TAG_IDLE_TOLD, ""),
                    warned=tags.get(TAG_IDLE_WARNED, ""),
                )


def put_to_rest(
    aws: Aws,
    region: str,
    groups: Sequence[Group],
    machines: Sequence[Machine],
    *,
    heads_gone_by: float | None = None,
) -> Done:
    """Set the groups to zero and end the machines that no group ends; data is not touched.

    Heads are ended first and waited for, until `heads_gone_by` of the monotonic clock: the queue on them
    would start others for the jobs of each node that goes. What fails is told and does not keep the rest
    from being done.
    """
    done = Done()
    for group in groups:
        try:
            _rest(aws.client("autoscaling", region), group)
            done.groups[group.name] = group.wanted
        except Exception as error:
            done.failures.append(f"{group.name}: {error}")
    # A group that is not at rest would start another head.
    stuck = {group.name for group in groups} - set(done.groups)
    heads = [each for each in machines if each.head and each.group not in stuck]
    gone_by = time.monotonic() + HEAD_SECONDS if heads_gone_by is None else heads_gone_by
    if ending := _end(aws, region, heads, done):
        _wait_gone(aws, region, ending, gone_by, done)
    _end(aws, region, [each for each in machines if not each.head], done)
    return done


def _end(aws: Aws, region: str, machines: Sequence[Machine], done: Done) -> list[str]:
    """End machines one by one, for a single one that is protected refuses a whole list; return which end."""
    ec2, ended = aws.client("ec2", region), list[str]()
    for machine in machines:
        try:
            ec2.terminate_instances(InstanceIds=[machine.id])
            ended.append(machine.id)
        except Exception as error:
            done.failures.append(f"{machine.id}: {error}")
    done.machines += ended
    return ended


def _wait_gone(aws: Aws, region: str, ids: Sequence[str], gone_by: float, done: Done) -> None:
    """Wait until the machines have ended; that one has not is a failure, after which Lambda calls again."""
    filters = [
        {"Name": "instance-id", "Values": list(ids)},
        {"Name": "instance-state-name", "Values": [*_ALIVE, "shutting-down"]},
    ]
    while True:
        try:
            found = aws.client("ec2", region).describe_instances(Filters=filters)["Reservations"]
        except Exception as error:
            done.failures.append(f"whether the head node has ended is not known: {error}")
            return
        if not found:
            return
        if time.monotonic() + _POLL_SECONDS > gone_by:
            done.failures.append(f"{', '.join(ids)}: the head node is still shutting down, looked at again")
            return
        time.sleep(_POLL_SECONDS)


def _rest(autoscaling: Any, group: Group) -> None:
    """Let a group start nothing any more, and end what it holds."""
    name = group.name
    # First, so that nothing is started in place of what ends.
    autoscaling.suspend_processes(AutoScalingGroupName=name, ScalingProcesses=list(HELD_BACK))
    scale_to_zero(autoscaling, group)


def scale_to_zero(autoscaling: Any, group: Group) -> None:
    """Have a group end what it holds, also what it would not end by itself; it may start machines later."""
    if group.protected:
        autoscaling.set_instance_protection(
            AutoScalingGroupName=group.name, InstanceIds=list(group.protected), ProtectedFromScaleIn=False
        )
    autoscaling.update_auto_scaling_group(AutoScalingGroupName=group.name, MinSize=0, DesiredCapacity=0)


def file_systems(aws: Aws, region: str, environment: str) -> list[str]:
    """Return the environment's FSx file systems, which cost money and hold data, each in a few words."""
    found = []
    for page in aws.client("fsx", region).get_paginator("describe_file_systems").paginate():
        for each in page["FileSystems"]:
            if _tags(each).get(TAG_ENVIRONMENT) == environment:
                found.append(f"{each['FileSystemId']} ({each['StorageCapacity']} GiB)")
    return found


def _tags(item: Mapping[str, Any]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in item.get("Tags", [])}
