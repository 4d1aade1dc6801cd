"""Which environments stand, as the cloud's own listings tell it, and until when their leases last."""

from __future__ import annotations

import datetime
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from fleet.listings.listed import Key, Listed
from fleet.listings.names import own_name
from fleet.listings.things import Look
from stacks import naming

_LOCK = f"{naming.state_key('')}.tflock"
LOCKS = "locks of Terraform's states"
TITLES = frozenset({"schedules", "SSM parameters", "Auto Scaling groups", "IAM roles", LOCKS})
"""Listings that life is told by: where one of them was refused, nothing can be said to be an orphan."""


@dataclass(frozen=True, kw_only=True)
class Life:
    """What stands of an environment in a region."""

    base: bool = False
    fleet: bool = False
    ends: datetime.datetime | None = None
    """When its lease ends: the earliest of what says so, None where nothing does."""


@dataclass(frozen=True)
class Lives:
    """All environments that stand."""

    found: dict[tuple[str, str], Life]
    """By name and region."""
    at_work: frozenset[str] = frozenset()
    """Environments that somebody is building or tearing down: Terraform holds the lock of a state."""

    def of(self, environment: str, region: str) -> Life:
        """Return what stands of an environment in the region, or anywhere where none is named."""
        if region:
            return self.found.get((environment, region), Life())
        return next((life for (name, _), life in self.found.items() if name == environment), Life())


def held_states(look: Look) -> list[str]:
    """Return the stacks whose states somebody holds the lock of."""
    bucket = naming.state_bucket(look.organization, look.home_region)
    if not any(each["Name"] == bucket for each in look.pages("s3", "list_buckets", "Buckets")):
        return []
    keys = (each["Key"] for each in look.pages("s3", "list_objects_v2", "Contents", Bucket=bucket))
    return [key.removesuffix(_LOCK) for key in keys if key.endswith(_LOCK)]


def find_lives(listed: Collection[Listed], held: Iterable[str]) -> Lives:
    """Return which environments stand.

    The base stands while the schedule of its lease and the role of its nodes do: a teardown takes both, and
    one of them alone is a leftover. The fleet stands while the parameter of its outputs or the group of its
    head does; where there is no base, it takes both.
    """
    there = {(each.key, each.region): each for each in listed}
    found = {}
    for environment, region in sorted(set(_candidates(listed))):
        schedule = there.get((Key("schedule", naming.lease_name(environment, region)), ""))
        role = there.get(
            (Key("IAM role", naming.environment_role(environment, naming.ROLE_NODE, region)), "")
        )
        base = schedule is not None and role is not None and _is_of(role, environment)
        parameter = (Key("SSM parameter", naming.outputs_parameter(environment)), region) in there
        group = there.get((Key("Auto Scaling group", naming.head_group(environment)), region))
        if group is not None and not _is_of(group, environment):
            group = None
        fleet = (parameter or bool(group)) if base else (parameter and bool(group))
        ends = [each.until for each in (schedule, group) if each and each.until]
        if base or fleet:
            found[environment, region] = Life(base=base, fleet=fleet, ends=min(ends, default=None))
    names = {each.removesuffix(suffix) for each in held for suffix in _SUFFIXES if each.endswith(suffix)}
    return Lives(found, frozenset(names))


_SUFFIXES = naming.environment_stacks("")


def _candidates(listed: Iterable[Listed]) -> Iterator[tuple[str, str]]:
    """Yield name and region of each environment that one of its first or last things tells of."""
    for each in listed:
        if each.thing.kind == "schedule" and (named := own_name(each.key, each.thing.id)):
            yield named.environment, named.region
        elif each.thing.kind == "Auto Scaling group" and naming.TAG_ENVIRONMENT in each.tags:
            yield each.tags[naming.TAG_ENVIRONMENT], each.region


def _is_of(listed: Listed, environment: str) -> bool:
    """Return whether something bears the environment's tag, or says whose it is; a name alone is nothing."""
    says = listed.says.environment if listed.says else ""
    return environment == listed.tags.get(naming.TAG_ENVIRONMENT, says)
