"""A drawn week of ten teams (`tests/money_week.py`) as fleetform meets it: what stands for the cloud."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fleet.ledger_tables import Wanted
from fleet.run_store import RunStore
from fleet.trail import TrailEvent
from stacks import naming
from tests.money_week import SECOND, Machine, World


@dataclass(frozen=True)
class Shelf(RunStore):
    """An artifact bucket that holds one environment's drawn documents."""

    world: World | None = None
    environment: str = ""

    def run_ids(self, since: str = "") -> list[str]:
        """Return all of its runs."""
        assert self.world is not None
        return sorted({name.partition("/")[0] for name in self.world.runs[self.environment]})

    def get(self, run_id: str, name: str) -> bytes | None:
        """Return a document as it would lie in the bucket."""
        assert self.world is not None
        if name in ("events.jsonl", "metrics.jsonl"):
            told = self.world.events if name == "events.jsonl" else self.world.metrics
            lines = told.get(run_id, [])
            return "".join(json.dumps(line) + "\n" for line in lines).encode()
        found = self.world.runs[self.environment].get(f"{run_id}/{name}")
        return None if found is None else json.dumps(found).encode()


class Machines:
    """EC2 as it knows the machines of one environment that it has not forgotten."""

    def __init__(self, world: World, environment: str) -> None:
        self._known = [
            each for each in world.machines if each.environment == environment and each.source == "ec2"
        ]

    def get_paginator(self, name: str) -> Machines:
        assert name == "describe_instances"
        return self

    def paginate(self, **request: Any) -> Iterator[dict[str, Any]]:
        for each in self._known:
            yield {"Reservations": [{"Instances": [described(each)]}]}


class Book:
    """The ledger, and its index."""

    bucket = "drawn"

    def __init__(self, world: World) -> None:
        self.entries = sorted(world.ledger, key=lambda each: each["time"])


class Index:
    """What finds the ledger's entries (fleet/ledger_index.py)."""

    def __init__(self, file: Path, ledger: Book) -> None:
        self._ledger = ledger

    def find(self, wanted: Wanted) -> list[dict[str, Any]]:
        entries = self._ledger.entries
        return [e for e in entries if e["target"] == wanted.target and e["event"].startswith(wanted.event)]


def trail_of(world: World) -> list[TrailEvent]:
    """Return the account's trail: the machines of all environments in it, in the order of time."""
    found = [call for each in world.machines if each.source == "trail" for call in calls(each)]
    return sorted(found, key=lambda call: call.time)


def described(machine: Machine) -> dict[str, Any]:
    """Return a machine as EC2 describes it."""
    assert machine.end is not None
    role = naming.ROLE_NODE if machine.fleet else naming.ROLE_HEAD
    end = datetime.datetime.fromtimestamp(machine.end // SECOND, datetime.UTC)
    return {
        "InstanceId": machine.id, "InstanceType": machine.type, "State": {"Name": "terminated"},
        "LaunchTime": datetime.datetime.fromtimestamp(machine.begin // SECOND, datetime.UTC),
        "StateTransitionReason": f"User initiated ({end:%Y-%m-%d %H:%M:%S} GMT)",
        "Tags": [{"Key": naming.TAG_ROLE, "Value": role}, {"Key": naming.TAG_FLEET, "Value": machine.fleet}],
    }  # fmt: skip


def calls(machine: Machine) -> list[TrailEvent]:
    """Return the start and the end of a machine as the trail has them."""
    assert machine.end is not None
    tags = {naming.TAG_ENVIRONMENT: machine.environment, naming.TAG_FLEET: machine.fleet}
    tag_set = {"items": [{"key": key, "value": value} for key, value in tags.items()]}
    one = {"instanceId": machine.id, "instanceType": machine.type, "tagSet": tag_set}
    begun = {"answer": {"instancesSet": {"items": [one]}}, "request": {}}
    ended = {"request": {"instancesSet": {"items": [{"instanceId": machine.id}]}}, "answer": {}}
    both = ((machine.begin, "RunInstances", begun), (machine.end, "TerminateInstances", ended))
    return [
        TrailEvent(
            id=f"{machine.id}-{name}", time=datetime.datetime.fromtimestamp(time // SECOND, datetime.UTC),
            source="ec2.amazonaws.com", name=name, region="us-east-1", who="", person="", address="",
            agent="", error="", file="", **told,
        )
        for time, name, told in both
    ]  # fmt: skip
