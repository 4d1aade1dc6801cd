"""What stands of an environment, in the groups in which a person thinks: machines, disks, stores, costs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fleet.estimate import estimate
from fleet.glance import busy_machines, count_machines
from fleet.instances import instances, tag_of
from fleet.kinds import ROOMS
from fleet.plan_report import what_stands
from fleet.priced import Resource
from fleet.runs import RunStatus
from fleet.session import Session
from stacks import naming
from stacks.catalog import load_catalog
from stacks.fleet_spec import FleetSpec

NODES = "nodes"
"""The machines that run for fleets, in `Holdings.costs`; other names there are rooms of fleet/kinds.py."""
_STORES = ("aws_s3_bucket", "aws_efs_file_system", "aws_fsx_lustre_file_system")
_AT_A_TIME = 200
"""EC2 takes so many values in one filter."""


@dataclass(frozen=True, kw_only=True)
class FleetNow:
    """A fleet and its machines that run."""

    name: str
    types: tuple[str, ...]
    """Instance types of its machines; where none runs, as its file says."""
    busy: int
    idle: int
    gpus: int
    """Of all of its machines that run."""
    at_most: int
    """How many machines it may have; 0 for a fleet that the file has no more."""
    usd_per_hour: float


@dataclass(frozen=True, kw_only=True)
class Store:
    """Something that holds data."""

    kind: str
    """Terraform's type."""
    id: str
    gib: int | None
    """Its size, where it has one."""


@dataclass(frozen=True, kw_only=True)
class Holdings:
    """All that stands of an environment."""

    fleets: tuple[FleetNow, ...]
    heads: tuple[str, ...]
    """Instance types of the head nodes that run: one, or none."""
    disks: int
    disks_gib: int
    stores: tuple[Store, ...]
    costs: tuple[tuple[str, float], ...]
    """US dollars an hour at list price, by room, and of the fleets' machines; what is free is left out."""


def holdings(session: Session, runs: Iterable[RunStatus]) -> Holdings:
    """Look at what stands; a few calls, which change nothing. `runs` are those that are known."""
    assert session.caller, "the cloud has answered"
    machines, things = list(instances(session, roles=())), what_stands(session)
    fleets = tuple(_fleets(session.spec.fleets, machines, busy_machines(session, runs)))
    disks = list(_disks(session, [str(each["InstanceId"]) for each in machines]))
    return Holdings(
        fleets=fleets,
        heads=tuple(
            str(each["InstanceType"])
            for each in machines
            if tag_of(each, naming.TAG_ROLE) == naming.ROLE_HEAD
        ),
        disks=len(disks),
        disks_gib=sum(disks),
        stores=tuple(_store(each) for each in things if each.kind in _STORES),
        costs=tuple(_costs(session, things, fleets)),
    )


def _fleets(
    declared: Mapping[str, FleetSpec], machines: Iterable[Mapping[str, Any]], busy: set[str]
) -> Iterator[FleetNow]:
    """Yield each fleet that is declared, or of which a machine runs."""
    nodes = [each for each in machines if tag_of(each, naming.TAG_ROLE) == naming.ROLE_NODE]
    for name in sorted({*declared, *(tag_of(each, naming.TAG_FLEET) for each in nodes)}):
        own = [each for each in nodes if tag_of(each, naming.TAG_FLEET) == name]
        counted, spec = count_machines(own, busy, load_catalog()), declared.get(name)
        running = tuple(sorted({str(each["InstanceType"]) for each in own}))
        yield FleetNow(
            name=name,
            types=running or ((spec.instance_type,) if spec else ()),
            busy=counted.busy,
            idle=counted.idle,
            gpus=counted.busy_gpus + counted.idle_gpus,
            at_most=max(spec.nodes, spec.max_nodes) if spec else 0,
            usd_per_hour=counted.usd_per_hour,
        )


def _disks(session: Session, machines: Sequence[str]) -> Iterator[int]:
    """Yield the size in GiB of each disk of the machines."""
    pages = session.client("ec2").get_paginator("describe_volumes")
    for begin in range(0, len(machines), _AT_A_TIME):
        some = machines[begin : begin + _AT_A_TIME]
        for page in pages.paginate(Filters=[{"Name": "attachment.instance-id", "Values": list(some)}]):
            yield from (int(each["Size"]) for each in page["Volumes"])


def _store(thing: Resource) -> Store:
    size = thing.values.get("storage_capacity")
    return Store(kind=thing.kind, id=str(thing.values.get("id", "")), gib=int(size) if size else None)


def _costs(
    session: Session, things: Iterable[Resource], fleets: Iterable[FleetNow]
) -> Iterator[tuple[str, float]]:
    """Yield what costs by the hour: the fleets' machines as they run, the rest as it is while none does."""
    if nodes := sum(each.usd_per_hour for each in fleets):
        yield NODES, nodes
    rooms: defaultdict[str, float] = defaultdict(float)
    for item in estimate(things, session.spec.region).items:
        rooms[item.room] += item.usd_per_hour_idle or 0.0
    yield from ((room, rooms[room]) for room in ROOMS if rooms[room])
