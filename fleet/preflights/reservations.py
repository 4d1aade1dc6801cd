"""Reserved capacity: is there what the fleet is to start in, where, when and as much as it needs?"""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping
from typing import Any

from fleet.preflights.case import LiveCase, fleets_of
from fleet.preflights.places import environment_zones, fleet_zones
from fleet.preflights.subnets import is_missing
from stacks.fleet_spec import FleetSpec
from stacks.problems import Problem

_STANDS = ("active", "scheduled", "delayed")
"""States in which a reservation gives capacity, now or later; a block is scheduled until it starts."""
_KINDS = {"default": "capacity_reservation", "capacity-block": "capacity_block"}
"""EC2's type of a reservation -> the purchase that it is used with."""
_WORDS = {"capacity_reservation": "a capacity reservation", "capacity_block": "a capacity block"}

Reservation = Mapping[str, Any]


def reservations_fit(case: LiveCase) -> Iterator[Problem]:
    """Every reservation is of the purchase, type and zone that its fleet says, and large enough."""
    for path, fleet, found in _named(case):
        if found is not None:
            yield from _misfits(case, path, fleet, found)


def reservations_stand(case: LiveCase) -> Iterator[Problem]:
    """Every reservation that nodes are to start in now is there, and has not expired or been cancelled."""
    for path, fleet, found in _named(case):
        if fleet.nodes > 0:
            yield from _gone(case, path, fleet, found)


def reservations_stand_for_later(case: LiveCase) -> Iterator[Problem]:
    """So is every reservation of a fleet that has no nodes now."""
    for path, fleet, found in _named(case):
        if fleet.nodes == 0:
            yield from _gone(case, path, fleet, found)


def reservations_are_free(case: LiveCase) -> Iterator[Problem]:
    """Reserved capacity is there now, for as many nodes as the fleet may have, to the end of the lease."""
    for path, fleet, found in _named(case):
        if found is None or found["State"] not in _STANDS:
            continue
        yield from _not_yet(case, path, fleet, found)
        yield from _too_few(case, path, fleet, found)
        end = found.get("EndDate")
        if end and end < case.spec.lease_until:
            yield case.problem(
                f"{path}.reservation",
                f"{fleet.reservation} ends at {_moment(end)}, before the lease ({case.spec.lease_ends})",
                "have the runs done by then; nodes in a capacity block are ended 30 minutes before it ends",
            )
        if found.get("InstanceMatchCriteria") == "open":
            yield case.problem(
                f"{path}.reservation",
                f"{fleet.reservation} is open: any machine of that type and zone takes from it",
                "make a targeted one, so that it is there when the fleet starts",
            )


def _gone(case: LiveCase, path: str, fleet: FleetSpec, found: Reservation | None) -> Iterator[Problem]:
    do = "name another one, or set the fleet's nodes to 0"
    if found is None:  # EC2 forgets a reservation some time after its end
        region = case.spec.region
        what = f"there is no capacity reservation {fleet.reservation} in {region} for us, or no longer"
        yield case.problem(f"{path}.reservation", what, do)
    elif found["State"] not in _STANDS:
        end = found.get("EndDate") if found["State"] == "expired" else None
        since = f" since {_moment(end)}" if end else ""
        what = f"{fleet.reservation} is {found['State']}{since} and gives no capacity"
        yield case.problem(f"{path}.reservation", what, do)


def _misfits(case: LiveCase, path: str, fleet: FleetSpec, found: Reservation) -> Iterator[Problem]:
    kind = _KINDS.get(found.get("ReservationType", "default"), "")
    if kind and kind != fleet.purchase:
        yield case.problem(
            f"{path}.purchase",
            f"{fleet.reservation} is {_WORDS[kind]} and not {_WORDS[fleet.purchase]}",
            f'set it to "{kind}"',
        )
    if found["InstanceType"] != fleet.instance_type:
        yield case.problem(
            f"{path}.instance_type",
            f"{fleet.reservation} is for {found['InstanceType']} and not {fleet.instance_type}",
            f'set it to "{found["InstanceType"]}", or name another reservation',
        )
    zone, network = str(found["AvailabilityZone"]), environment_zones(case)
    if zone not in fleet_zones(fleet, network):
        inside = zone in network
        do = f'set {path}.zone = "{zone}"' if inside else f'take "{zone}" into network.zone_names'
        yield case.problem(
            f"{path}.zone",
            f"{fleet.reservation} is in {zone}, where the fleet has no nodes",
            do if fleet.placement == "together" or not inside else "take it in",
        )
    if found["TotalInstanceCount"] < fleet.nodes:
        yield case.problem(
            f"{path}.nodes",
            f"{fleet.nodes} nodes where {fleet.reservation} has {found['TotalInstanceCount']}",
            "lower it, or have the reservation enlarged",
        )


def _not_yet(case: LiveCase, path: str, fleet: FleetSpec, found: Reservation) -> Iterator[Problem]:
    start = found.get("StartDate")
    if found["State"] != "active" and start:
        begins = "is delayed; it was to start" if found["State"] == "delayed" else "starts only"
        yield case.problem(
            f"{path}.reservation",
            f"{fleet.reservation} {begins} at {_moment(start)}; until then no node of the fleet starts",
            "bring the environment up then, or with nodes = 0 for now",
        )


def _too_few(case: LiveCase, path: str, fleet: FleetSpec, found: Reservation) -> Iterator[Problem]:
    total = found["TotalInstanceCount"]
    if fleet.nodes <= total < fleet.max_nodes:
        yield case.problem(
            f"{path}.max_nodes",
            f"{fleet.max_nodes} nodes where {fleet.reservation} has {total}",
            f"lower it to {total}, or have the reservation enlarged before the fleet grows",
        )
    ours = sum(
        case.is_ours(each) and each.get("CapacityReservationId") == fleet.reservation
        for each in case.instances()
    )
    left = found["AvailableInstanceCount"] + ours
    if found["State"] == "active" and left < min(fleet.nodes, total):
        yield case.problem(
            f"{path}.nodes",
            f"{fleet.nodes} nodes where {left} of the {total} of {fleet.reservation} are free",
            "see who else starts machines in it",
        )


def _named(case: LiveCase) -> Iterator[tuple[str, FleetSpec, Reservation | None]]:
    """Yield each fleet that starts in reserved capacity, with its reservation or None."""
    for path, fleet in fleets_of(case):
        if fleet.reserved and fleet.reservation:
            yield path, fleet, _reservation(case, fleet.reservation)


def _reservation(case: LiveCase, reservation: str) -> Reservation | None:
    def look() -> Reservation | None:
        client = case.client("ec2")
        try:
            answer = client.describe_capacity_reservations(CapacityReservationIds=[reservation])
        except Exception as error:
            if is_missing(error):
                return None
            raise
        return next(iter(answer["CapacityReservations"]), None)

    return case.ask("the capacity reservations", "ec2:DescribeCapacityReservations", look, reservation)


def _moment(time: datetime.datetime) -> str:
    return f"{time.astimezone(datetime.UTC):%Y-%m-%d %H:%M} UTC"
