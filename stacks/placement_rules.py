"""The guardrails on where fleets stand: regions, zones, and the fabric adapters that join their nodes."""

from __future__ import annotations

from collections.abc import Iterator

from stacks.case import Case, Rule
from stacks.catalog import InstanceType, family_regions, known_regions, load_catalog
from stacks.fleet_spec import FleetSpec
from stacks.problems import Problem, nearest


def zones_are_the_networks(case: Case) -> Iterator[Problem]:
    """A fleet's zone is one of the network's, by name."""
    names = case.spec.network.zone_names
    for name, fleet in case.spec.fleets.items():
        if fleet.placement == "spread" or not fleet.zone or fleet.zone in names:
            continue
        near = nearest(fleet.zone, names)
        hint = f"did you mean `{near}`? " if near else ""
        known = f"known: {', '.join(names)}" if names else "name the network's zones there"
        yield case.problem(
            f"fleets.{name}.zone",
            f"{fleet.zone} is none of `network.zone_names`",
            f"{hint}{known}; or leave it out for the first one",
        )


def zone_has_an_effect(case: Case) -> Iterator[Problem]:
    """A zone is given only to a fleet that stands together."""
    for name, fleet in case.spec.fleets.items():
        if fleet.zone and fleet.placement == "spread":
            yield case.problem(
                f"fleets.{name}.zone",
                "zone has no effect: the fleet is spread over all zones",
                'leave it out, or set `placement` to "together"',
            )


def reserved_fleets_say_their_zone(case: Case) -> Iterator[Problem]:
    """A fleet out of reserved capacity says in which of several zones that is."""
    network = case.spec.network
    for name, fleet in case.spec.fleets.items():
        if fleet.reserved and fleet.placement == "together" and not fleet.zone and network.zone_count > 1:
            yield case.problem(
                f"fleets.{name}.zone",
                "the nodes start in the network's first zone, and a reservation holds capacity in its own",
                "name the reservation's zone, and the network's in `network.zone_names`",
            )


def nodes_that_talk_have_adapters(case: Case) -> Iterator[Problem]:
    """A fleet of several nodes whose type has fabric adapters uses them."""
    for name, fleet, found in _with_adapters(case):
        if not fleet.efa:
            yield case.problem(
                f"fleets.{name}.efa",
                f"{found.name} has {_adapters(found)}, and the nodes get none: runs on several of them talk "
                "over TCP, many times slower",
                "leave it out, unless every run has one node",
            )
        elif fleet.placement == "spread":
            yield case.problem(
                f"fleets.{name}.placement",
                f"{found.name} has {_adapters(found)}, and the nodes get none: they do not reach from zone "
                "to zone",
                'set it to "together" for runs on several nodes, or `efa` to false if every run has one',
            )


def adapters_are_there_to_use(case: Case) -> Iterator[Problem]:
    """`efa = true` is said only of a type that has fabric adapters."""
    for name, fleet in case.spec.fleets.items():
        found = load_catalog().get(fleet.instance_type)
        if found and not found.efa_interfaces and fleet.efa and "efa" in fleet.model_fields_set:
            yield case.problem(
                f"fleets.{name}.efa",
                f"efa has no effect: {found.name} has no fabric adapter",
                "take the line out, or take a type that has some",
            )


def disks_are_there_to_join(case: Case) -> Iterator[Problem]:
    """`scratch = "raid0"` is said only of a type that has local disks."""
    for name, fleet in case.spec.fleets.items():
        found = load_catalog().get(fleet.instance_type)
        asked = fleet.scratch == "raid0" and "scratch" in fleet.model_fields_set
        if found and not found.disks and asked:
            yield case.problem(
                f"fleets.{name}.scratch",
                f"scratch has no effect: {found.name} has no local disk",
                "take the line out, or take a type that has some",
            )


def region_has_the_type(case: Case) -> Iterator[Problem]:
    """The region was seen to have the instance types of all fleets; AWS is asked before anything is built."""
    if case.spec.region not in known_regions():
        return
    for name, fleet in case.spec.fleets.items():
        found = load_catalog().get(fleet.instance_type)
        regions = family_regions(found.family) if found else ()
        if found and regions and case.spec.region not in regions:
            yield case.problem(
                f"fleets.{name}.instance_type",
                f"{case.spec.region} had no {found.family} when the catalog was made",
                f"take a type that it has, or a region such as {', '.join(regions[-3:])}",
            )


def _with_adapters(case: Case) -> Iterator[tuple[str, FleetSpec, InstanceType]]:
    """Yield the fleets of several nodes whose type has fabric adapters."""
    for name, fleet in case.spec.fleets.items():
        found = load_catalog().get(fleet.instance_type)
        if found is not None and found.efa_interfaces and fleet.max_nodes > 1:
            yield name, fleet, found


def _adapters(found: InstanceType) -> str:
    return f"{found.efa_interfaces} fabric adapter{'s' if found.efa_interfaces > 1 else ''}"


PLACEMENT_ERRORS: tuple[Rule, ...] = (zones_are_the_networks,)
"""Rules on places whose findings stop every act that builds."""
PLACEMENT_WARNINGS: tuple[Rule, ...] = (
    zone_has_an_effect,
    reserved_fleets_say_their_zone,
    nodes_that_talk_have_adapters,
    adapters_are_there_to_use,
    disks_are_there_to_join,
    region_has_the_type,
)
"""Rules on places whose findings are told, and stop nothing."""
