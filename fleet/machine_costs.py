"""What of an environment has cost money by the hour since a moment, whether runs used it or not.

Machines that run are counted from their start, as EC2 tells it to whoever may run jobs; what else stands from
the start of the oldest of them, at the price of what the file declares; and what was torn down as the
receipts of its teardowns say that this project has kept.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fleet.costs.prices import Prices
from fleet.instances import instances
from fleet.list_prices import list_prices
from fleet.session import Session
from stacks import naming
from stacks.catalog import load_other_prices
from stacks.price_rules import costs_per_hour

_TIMES = ("created", "ended")
"""Of a stack, as a receipt names them."""


@dataclass(frozen=True, kw_only=True)
class MachineCosts:
    """What has stood since a moment."""

    running: float
    """The machines that run, with their disks."""
    standing: float
    """What else stands: NAT, endpoints, keys, a fast file system."""
    torn_down: float
    """By the receipts of teardowns."""
    instances: frozenset[str]
    """Ids of the machines in it, whose runs cost nothing beside."""
    not_priced: tuple[str, ...]
    """Instance types among them that the catalog lacks."""
    unread: tuple[str, ...] = ()
    """Teardowns whose receipts tell nothing: broken, or of a form that is not known."""
    prices: tuple[str, ...] = ()
    """Where the prices are from, a sentence each."""

    @property
    def usd(self) -> float:
        """All of it."""
        return self.running + self.standing + self.torn_down


def machine_costs(
    session: Session, begin: datetime.datetime, now: datetime.datetime, *, ask_prices: bool = False
) -> MachineCosts:
    """Add up what has stood from `begin` to `now`, both in UTC; AWS is asked for prices where wanted."""
    machines = list(instances(session, roles=()))
    oldest = min((_begun(each) for each in machines), default=now)
    gone, unread = _teardowns(session)
    kinds = {str(each["InstanceType"]) for each in machines}
    fleets = {each.instance_type for each in session.spec.fleets.values()}
    prices = list_prices(session, kinds | fleets | {session.spec.head.instance_type}, ask=ask_prices)
    return MachineCosts(
        running=sum(
            _usd_per_hour(session, prices, each) * hours_within(_begun(each), now, begin, now)
            for each in machines
        ),
        standing=_beside_machines(session) * hours_within(oldest, now, begin, now),
        torn_down=sum(_usd_of_teardown(each, begin, now) for each in gone),
        instances=frozenset(
            [str(each["InstanceId"]) for each in machines]
            + [machine for each in gone for machine in _machines_of(each)]
        ),
        not_priced=tuple(sorted(each for each in kinds if prices.of_type(each) is None)),
        prices=prices.notes,
        unread=unread,
    )


def hours_within(
    start: datetime.datetime, end: datetime.datetime, begin: datetime.datetime, now: datetime.datetime
) -> float:
    """Return how many hours of `start` to `end` lie between `begin` and `now`."""
    return max(0.0, (min(end, now) - max(start, begin)).total_seconds() / 3600)


def _begun(machine: Mapping[str, Any]) -> datetime.datetime:
    begun = machine["LaunchTime"]
    assert isinstance(begun, datetime.datetime), "boto3 reads times"
    return begun


def _usd_per_hour(session: Session, prices: Prices, machine: Mapping[str, Any]) -> float:
    """Return what a machine costs an hour with the disk that its fleet declares."""
    tags = {tag["Key"]: tag["Value"] for tag in machine.get("Tags", ())}
    fleet = session.spec.fleets.get(tags.get(naming.TAG_FLEET, ""), session.spec.head)
    disk = load_other_prices()["ebs_gp3"].usd_per_hour(fleet.root_volume_gib)
    return disk + float(prices.of_type(str(machine["InstanceType"])) or 0)


def _beside_machines(session: Session) -> float:
    parts = costs_per_hour(session.spec, session.account.region)
    return sum(usd for part, usd in parts.items() if part not in ("machines", "disks"))


def _teardowns(session: Session) -> tuple[list[Mapping[str, Any]], tuple[str, ...]]:
    """Return the receipts of the environment's teardowns in this cloud, and those that tell nothing."""
    found: list[Mapping[str, Any]] = []
    unread: list[str] = []
    for file in sorted(session.project.root.glob(f"receipts/{session.spec.name}-*/receipt.json")):
        try:
            receipt = json.loads(file.read_text(encoding="utf-8"))
            if (receipt["environment"], receipt["cloud"]) == (session.spec.name, session.cloud.name):
                found.append({**receipt, "stacks": [_stack(each) for each in receipt["stacks"]]})
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            unread.append(file.parent.name)
    return found, tuple(unread)


def _stack(told: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a receipt tells of a stack; earlier ones do not tell all of it.

    Raises KeyError and the like for what is no stack.
    """
    times = {name: datetime.datetime.fromisoformat(told[name]) for name in _TIMES if told.get(name)}
    return {"stack": str(told["stack"]), "usd_per_hour": float(told.get("usd_per_hour") or 0.0), **times}


def _destroyed(receipt: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the stacks that a teardown destroyed and of which it knows when they began."""
    return [each for each in receipt["stacks"] if all(name in each for name in _TIMES)]


def _machines_of(receipt: Mapping[str, Any]) -> Iterator[str]:
    """Yield the machines of the stacks that it destroyed; an earlier receipt does not say whose one was."""
    stacks = {stack["stack"] for stack in _destroyed(receipt)}
    for thing in (receipt.get("machines") or ()) if stacks else ():
        if (
            isinstance(thing, Mapping)
            and "id" in thing
            and (not thing.get("stack") or thing["stack"] in stacks)
        ):
            yield str(thing["id"])


def _usd_of_teardown(receipt: Mapping[str, Any], begin: datetime.datetime, now: datetime.datetime) -> float:
    """Return what the stacks that a teardown destroyed have cost between the two moments."""
    return sum(
        float(each["usd_per_hour"]) * hours_within(each["created"], each["ended"], begin, now)
        for each in _destroyed(receipt)
    )
