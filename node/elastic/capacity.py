"""Buys machines by EC2 Fleet: the ways of buying in the fleet's order, each an instant fleet of its own.

An instant fleet is bought or refused while the caller waits, and EC2 keeps nothing of it that would start
machines later. https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instant-fleet.html
"""

from __future__ import annotations

import hashlib
import json
import random
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from node.aws import aws_errors, error_code
from node.cluster.facts import FleetFacts
from node.elastic.machines import TAG_LAUNCH, THROTTLED, steadily
from node.layout import ROLE_NODE, TAG_ENVIRONMENT, TAG_FLEET, TAG_ROLE

ON_DEMAND, SPOT, CAPACITY_BLOCK = "on-demand", "spot", "capacity-block"
_MARKETS = {"spot": SPOT, "capacity_block": CAPACITY_BLOCK}
"""EC2 Fleet's word for a way of buying; `on_demand` and `capacity_reservation` are on demand."""
_SPOT_STRATEGY = "price-capacity-optimized"
"""EC2's recommendation: the pools least likely to be interrupted, and of these the cheapest."""
_AGAIN_S = (2.0, 8.0)
"""Pauses before an order that EC2 was too busy for is made again."""
CAPACITY_CODES = frozenset(
    {
        "InsufficientInstanceCapacity", "InsufficientCapacity", "InsufficientHostCapacity",
        "InsufficientReservedInstanceCapacity", "ReservationCapacityExceeded",
        "UnfulfillableCapacity", "SpotMaxPriceTooLow", "MaxSpotInstanceCountExceeded", "VcpuLimitExceeded",
        "InstanceLimitExceeded", "InsufficientFreeAddressesInSubnet", "InvalidCapacityReservationState",
    }
)  # fmt: skip
"""Refusals that mean: not now, not here, not so many."""


@dataclass(frozen=True)
class Way:
    """One way of buying machines of a fleet."""

    purchase: str
    """`on_demand`, `spot`, `capacity_reservation` or `capacity_block`."""
    template: str
    """Name of the launch template."""
    subnet_ids: tuple[str, ...]
    """Where they may stand."""
    one_zone: bool

    @property
    def market(self) -> str:
        """EC2 Fleet's word for it."""
        return _MARKETS.get(self.purchase, ON_DEMAND)


@dataclass(frozen=True)
class Order:
    """So many machines of a fleet, for one attempt."""

    environment: str
    fleet: str
    launch: str
    """The attempt, which all its machines are tagged with."""
    count: int
    at_least: int
    """With fewer none is wanted."""
    on_demand: int = 0
    """Of spot nodes, how many are bought on demand all the same."""


@dataclass(frozen=True)
class Refusal:
    """Why a way of buying brought fewer machines than ordered."""

    purchase: str
    """The way of buying, "" where it is not EC2 that has refused."""
    code: str
    message: str

    @property
    def is_capacity(self) -> bool:
        """Whether another time, or another way, may go better; else somebody has to change something."""
        return self.code in CAPACITY_CODES


@dataclass(frozen=True)
class Bought:
    """What came of an order in one way."""

    instance_ids: tuple[str, ...]
    refusals: tuple[Refusal, ...]


def ways(fleet: FleetFacts) -> Iterator[Way]:
    """Yield the ways of buying that are tried for a fleet, in its own order."""
    for purchase in fleet.purchases:
        template, one_zone = fleet.launch_templates[purchase], fleet.placement == "together"
        yield Way(purchase, template, fleet.subnet_ids, one_zone)


def fleet_request(order: Order, way: Way) -> dict[str, Any]:
    """Return the arguments of CreateFleet. The same order gives the same, its client token too."""
    on_demand = min(order.on_demand, order.count) if way.market == SPOT else 0
    target: dict[str, Any] = {"TotalTargetCapacity": order.count, "DefaultTargetCapacityType": way.market}
    if on_demand:
        target |= {"OnDemandTargetCapacity": on_demand, "SpotTargetCapacity": order.count - on_demand}
    request: dict[str, Any] = {
        "Type": "instant",
        "LaunchTemplateConfigs": [
            {
                "LaunchTemplateSpecification": {"LaunchTemplateName": way.template, "Version": "$Default"},
                "Overrides": [{"SubnetId": subnet} for subnet in way.subnet_ids],
            }
        ],
        "TargetCapacitySpecification": target,
        "TagSpecifications": [{"ResourceType": kind, "Tags": _tags(order)} for kind in ("fleet", "instance")],
    }
    options = {"SingleInstanceType": True, "SingleAvailabilityZone": way.one_zone}
    everything = order.at_least == order.count
    if way.market == SPOT and order.count > on_demand:
        least = order.count - on_demand if everything else 1
        request["SpotOptions"] = {
            "AllocationStrategy": _SPOT_STRATEGY, "MinTargetCapacity": least, **options
        }  # fmt: skip
    if way.market == ON_DEMAND or on_demand:
        least = (on_demand or order.count) if everything else 1
        request["OnDemandOptions"] = {
            "AllocationStrategy": "lowest-price", "MinTargetCapacity": least, **options
        }  # fmt: skip
    digest = hashlib.sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()
    return {**request, "ClientToken": f"{order.launch}-{digest[:24]}"}


def _tags(order: Order) -> list[Mapping[str, str]]:
    """Return what tells the machines apart; everything else that they are tagged with is in the template."""
    tags = {
        TAG_ENVIRONMENT: order.environment,
        TAG_ROLE: ROLE_NODE,
        TAG_FLEET: order.fleet,
        TAG_LAUNCH: order.launch,
    }
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def buy(ec2: Any, order: Order, way: Way) -> Bought:
    """Order the machines in that way and return what came of it; they may be fewer than the order needs.

    An order that brought nothing because EC2 was busy is made again, as a new one.
    """
    bought = Bought((), ())
    for again, pause in enumerate((0.0, *_AGAIN_S)):
        time.sleep(pause * random.SystemRandom().uniform(0.5, 1.5))
        bought = _buy(ec2, order, way, again)
        if bought.instance_ids or not all(each.code in THROTTLED for each in bought.refusals):
            break
    return bought


def _buy(ec2: Any, order: Order, way: Way, again: int) -> Bought:
    request = fleet_request(order, way)
    request["ClientToken"] += f"-{again}" if again else ""
    try:
        answer = steadily(lambda: ec2.create_fleet(**request))
    except aws_errors() as error:
        return Bought((), (Refusal(way.purchase, error_code(error) or type(error).__name__, str(error)),))
    ids = [each for group in answer.get("Instances", []) for each in group["InstanceIds"]]
    refusals = {
        each.get("ErrorCode", ""): Refusal(
            way.purchase, str(each.get("ErrorCode", "")), str(each.get("ErrorMessage", ""))
        )
        for each in answer.get("Errors", [])
    }
    if len(ids) < order.count and not refusals:
        silent = Refusal(way.purchase, "InsufficientCapacity", "EC2 started fewer and gave no reason")
        refusals[silent.code] = silent
    return Bought(tuple(ids), tuple(refusals.values()))
