"""Which groups and machines have outlived their lease, from what was found; asks nobody."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass

from reaper.leases import Lease
from reaper.machines import Group, Machine, Region


@dataclass(frozen=True, kw_only=True)
class Ended:
    """One environment in one region whose lease has ended, and what of it is not at rest."""

    environment: str
    region: str
    groups: tuple[Group, ...]
    machines: tuple[Machine, ...]
    """Machines that no group ends: outside of every group, or in one that is at rest and still holds them.

    And head nodes of groups that are over: a group ends its machine in its own time, and until then the queue
    on the head would start others in place of those that end."""


def ended(found: Region, leases: Sequence[Lease], now: datetime.datetime) -> list[Ended]:
    """Return what has outlived its lease in the region, nothing where all of that is at rest already."""
    names = {group.environment for group in found.groups}
    names |= {machine.environment for machine in found.machines}
    work = [_ended(found, name, leases, now) for name in sorted(names)]
    return [each for each in work if each.groups or each.machines]


@dataclass(frozen=True, kw_only=True)
class Beyond:
    """One environment in one region that is to stand for longer than the account allows."""

    environment: str
    region: str
    ends: datetime.datetime
    """The furthest that was found."""
    said_by: tuple[str, ...]
    """The schedule, and groups by their tags."""


def beyond(regions: Sequence[Region], leases: Sequence[Lease], latest: datetime.datetime) -> list[Beyond]:
    """Return which environments say an end after `latest`, by what, whether or not that is what holds.

    The limit is fleetform's; who runs plain Terraform, or moves a tag by hand, is not held to it.
    """
    said = [(lease.environment, lease.region, lease.ends, "its schedule") for lease in leases]
    said += [
        (group.environment, each.name, group.ends, group.name) for each in regions for group in each.groups
    ]
    far = [each for each in said if each[2] > latest]
    return [
        Beyond(
            environment=environment,
            region=region,
            ends=max(each[2] for each in far if each[:2] == (environment, region)),
            said_by=tuple(each[3] for each in far if each[:2] == (environment, region)),
        )
        for environment, region in sorted({each[:2] for each in far})
    ]


def _ended(found: Region, environment: str, leases: Sequence[Lease], now: datetime.datetime) -> Ended:
    groups = [group for group in found.groups if group.environment == environment]
    scheduled = _scheduled(environment, found.name, leases)
    over = [group for group in groups if min([group.ends, *scheduled]) <= now]
    held = {instance for group in groups for instance in group.instances}
    left = {instance for group in over if group.at_rest for instance in group.instances}
    going = {instance for group in over for instance in group.instances}

    def is_over(machine: Machine) -> bool:
        if machine.id in held:
            return machine.id in (going if machine.head else left)
        # A machine is tagged once, when it starts, so after an extension its own tag is the last to be asked.
        ends = min(scheduled, default=max((group.ends for group in groups), default=machine.ends))
        return ends is not None and ends <= now

    return Ended(
        environment=environment,
        region=found.name,
        groups=tuple(group for group in over if not group.at_rest or group.protected),
        machines=tuple(each for each in found.machines if each.environment == environment and is_over(each)),
    )


def _scheduled(environment: str, region: str, leases: Sequence[Lease]) -> list[datetime.datetime]:
    """Return the ends that schedules name: the environment's in this region, else anywhere."""
    named = [lease for lease in leases if lease.environment == environment]
    return [lease.ends for lease in named if lease.region == region] or [lease.ends for lease in named]
