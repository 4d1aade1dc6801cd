"""An environment at a glance: what stands, which machines work or idle, what it costs, when it ends."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from fleet.clock import utc_now
from fleet.environment import read_outputs
from fleet.estimate import estimate
from fleet.instances import instances
from fleet.plan_report import what_stands
from fleet.run_store import open_runs
from fleet.runs import RunStatus
from fleet.session import Session
from stacks import naming
from stacks.catalog import InstanceType, load_catalog
from stacks.problems import UserError

Built = Literal["nothing", "base", "half", "all"]
"""`base`: network, keys and storage, no machines; `half`: a build or a teardown did not come to its end."""


@dataclass(frozen=True, kw_only=True)
class Machines:
    """The machines that run for the environment's fleets, its head left out."""

    busy: int
    """On which a run is."""
    idle: int
    busy_gpus: int
    idle_gpus: int
    usd_per_hour: float
    """List price of all of them."""
    unpriced: tuple[str, ...]
    """Instance types among them that the catalog has no price for."""


@dataclass(frozen=True, kw_only=True)
class Glance:
    """One environment as it stands now."""

    time: str
    """When it was looked at, UTC."""
    built: Built
    """How much of it stands."""
    machines: Machines
    usd_per_hour: float
    """What it costs now, at list price: its machines, and what costs by the hour however little it does."""
    lease_ends: datetime.date
    """The last day on which it may stand, as its file says."""

    @property
    def stands(self) -> bool:
        """Whether its fleet is built."""
        return self.built == "all"


def glance(session: Session, runs: Iterable[RunStatus]) -> Glance:
    """Look at the environment: a handful of calls, which change nothing; `runs` are those that are known."""
    assert session.caller, "the cloud has answered"
    nodes = list(instances(session, roles=[naming.ROLE_NODE]))
    machines = count_machines(nodes, busy_machines(session, runs), load_catalog())
    base, fleet = (what_stands(session, (stack,)) for stack in naming.environment_stacks(session.spec.name))
    return Glance(
        time=utc_now(),
        built="all" if _has_fleet(session) else "half" if fleet else "base" if base else "nothing",
        machines=machines,
        usd_per_hour=machines.usd_per_hour + estimate([*base, *fleet], session.spec.region).usd_per_hour_idle,
        lease_ends=session.spec.lease_ends,
    )


def busy_machines(session: Session, runs: Iterable[RunStatus]) -> set[str]:
    """Return the ids of the machines on which a run is, by what nodes say and by where runs were placed."""
    placed = {str(node["instance_id"]) for run in runs if run.active for node in run.placed}
    return placed | set(open_runs(session).claims())


def count_machines(
    instances: Sequence[Mapping[str, Any]], holders: set[str], catalog: Mapping[str, InstanceType]
) -> Machines:
    """Add up machines as EC2 describes them; `holders` are the ids of those on which a run is."""
    kinds = [(str(each["InstanceType"]), each["InstanceId"] in holders) for each in instances]
    gpus = {kind: catalog[kind].gpus if kind in catalog else 0 for kind, _ in kinds}
    return Machines(
        busy=sum(busy for _, busy in kinds),
        idle=sum(not busy for _, busy in kinds),
        busy_gpus=sum(gpus[kind] for kind, busy in kinds if busy),
        idle_gpus=sum(gpus[kind] for kind, busy in kinds if not busy),
        usd_per_hour=sum(catalog[kind].price_usd_per_hour for kind, _ in kinds if kind in catalog),
        unpriced=tuple(sorted({kind for kind, _ in kinds if kind not in catalog})),
    )


def _has_fleet(session: Session) -> bool:
    """Return whether the fleet's stack has published its outputs, as it does once it is built."""
    try:
        read_outputs(session)
    except UserError:
        return False
    return True
