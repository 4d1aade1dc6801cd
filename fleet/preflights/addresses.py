"""Addresses: how many nodes do the subnets that stand still hold?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fleet.listings.things import tags_of
from fleet.preflights.case import LiveCase, fleets_of
from fleet.preflights.places import environment_zones, fleet_zones
from fleet.preflights.subnets import existing_subnets, own_subnets
from stacks import naming
from stacks.fleet_spec import FleetSpec
from stacks.interfaces import addresses
from stacks.problems import Problem

KEPT_FREE = 10
"""Addresses of each subnet that are not given to nodes: endpoints, mount targets, the head node. More than
the stacks take; what of them stands already is no longer free and so counted twice, on the safe side."""


def subnets_hold_the_nodes(case: LiveCase) -> Iterator[Problem]:
    """The subnets that stand have free addresses for the nodes that are started at once."""
    yield from _shortages(case, {path: fleet.nodes for path, fleet in fleets_of(case)}, "nodes")


def subnets_hold_max_nodes(case: LiveCase) -> Iterator[Problem]:
    """The subnets that stand have free addresses for the nodes that the fleets may grow to."""
    short = {each.path.rpartition(".")[0] for each in subnets_hold_the_nodes(case)}
    counts = {path: fleet.max_nodes for path, fleet in fleets_of(case) if path not in short}
    yield from _shortages(case, counts, "max_nodes")


def _shortages(case: LiveCase, counts: Mapping[str, int], setting: str) -> Iterator[Problem]:
    """Yield the fleets whose further nodes find no addresses; those bound to one zone choose first."""
    subnets = own_subnets(case) or existing_subnets(case)
    if not subnets:
        return
    zones = environment_zones(case)
    free = {
        str(each["AvailabilityZone"]): max(0, int(each["AvailableIpAddressCount"]) - KEPT_FREE)
        for each in subnets.values()
    }
    names = {str(each["AvailabilityZone"]): subnet for subnet, each in subnets.items()}
    for path, fleet in sorted(fleets_of(case), key=lambda item: item[1].placement == "spread"):
        choice = [zone for zone in fleet_zones(fleet, zones) if zone in free]
        if path not in counts or not choice:
            continue
        each, more = addresses(fleet), counts[path] - _running(case, path)
        held = sum(free[zone] // each for zone in choice)
        if more > held:
            yield _too_full(
                case, path, fleet, [f"{names[zone]} ({zone})" for zone in choice], held, more, setting
            )
        _take(free, choice, each, more)


def _take(free: dict[str, int], zones: Sequence[str], each: int, nodes: int) -> None:
    """Take the addresses of so many nodes out of the zones, the first one first, as far as there are any."""
    for zone in zones:
        here = max(0, min(nodes, free[zone] // each))
        free[zone] -= here * each
        nodes -= here


def _running(case: LiveCase, path: str) -> int:
    """Return how many nodes of the fleet run already: their addresses are no longer free."""
    name = path.removeprefix("fleets.")
    ours: Iterator[Mapping[str, Any]] = (each for each in case.instances() if case.is_ours(each))
    return sum(tags_of(each).get(naming.TAG_FLEET) == name for each in ours)


def _too_full(
    case: LiveCase, path: str, fleet: FleetSpec, subnets: Sequence[str], held: int, more: int, setting: str
) -> Problem:
    size = addresses(fleet)
    taking = f", {size} addresses each" if size > 1 else ""
    return case.problem(
        f"{path}.{setting}",
        f"{' and '.join(subnets)} still {'holds' if len(subnets) == 1 else 'hold'} {held} nodes of "
        f"{fleet.instance_type}{taking}, where {more} more are asked for",
        "free addresses there, take larger subnets, or lower it",
    )
