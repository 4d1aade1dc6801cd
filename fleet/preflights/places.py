"""Zones: does the region offer the types, in the zones that the machines are to stand in?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fleet.preflights.case import LiveCase, fleets_of
from fleet.preflights.subnets import existing_subnets, own_subnets
from stacks.fleet_spec import FleetSpec
from stacks.problems import Problem


def zones_are_there(case: LiveCase) -> Iterator[Problem]:
    """The region has the zones that the network names, and as many as it asks for."""
    network = case.spec.network
    known = region_zones(case)
    for zone in network.zone_names:
        if zone not in known:
            yield case.problem(
                "network.zone_names",
                f"{case.spec.region} has no zone {zone} for this account",
                f"take some of {', '.join(known)}",
            )
    if network.is_own and not network.zone_names and network.zones > len(known):
        yield case.problem(
            "network.zones",
            f"{network.zones} zones where {case.spec.region} has {len(known)}",
            f"take at most {len(known)}",
        )


def types_are_offered(case: LiveCase) -> Iterator[Problem]:
    """Every instance type is offered in a zone that its machines may stand in."""
    network = environment_zones(case)
    for path, kind, zones in _wanted(case, network):
        offered = offers(case).get(kind, [])
        if not offered:
            yield case.problem(
                f"{path}.instance_type",
                f"{case.spec.region} does not offer {kind}",
                "take another type, or another region (`aws ec2 describe-instance-type-offerings --filters "
                f"Name=instance-type,Values={kind} --region REGION`)",
            )
        elif zones and not set(zones) & set(offered):
            yield case.problem(
                f"{path}.instance_type",
                f"{kind} is not offered in {' or '.join(zones)}, where its machines would stand",
                _where_instead(path, offered, network),
            )


def types_are_offered_everywhere(case: LiveCase) -> Iterator[Problem]:
    """A fleet that is spread over the zones finds its type in each of them."""
    network = environment_zones(case)
    for path, kind, zones in _wanted(case, network):
        offered = offers(case).get(kind, [])
        lacking = [zone for zone in zones if zone not in offered]
        if offered and lacking and len(lacking) < len(zones):
            there = [zone for zone in zones if zone in offered]
            yield case.problem(
                f"{path}.instance_type",
                f"{kind} is not offered in {', '.join(lacking)}; its machines will all stand in "
                f"{', '.join(there)}",
                f"name other zones in network.zone_names if that is not meant; {kind} is offered in "
                f"{', '.join(offered)}",
            )


def region_zones(case: LiveCase) -> list[str]:
    """Return the zones that the account can use without opting in, by name; local zones are none of them."""

    def look() -> list[str]:
        plain = [
            {"Name": "opt-in-status", "Values": ["opt-in-not-required"]},
            {"Name": "state", "Values": ["available"]},
        ]
        answer = case.client("ec2").describe_availability_zones(Filters=plain)
        return sorted(str(zone["ZoneName"]) for zone in answer["AvailabilityZones"])

    return case.ask("the zones of the region", "ec2:DescribeAvailabilityZones", look)


def environment_zones(case: LiveCase) -> list[str]:
    """Return the zones of the environment's subnets, the first one first, as the stacks choose them."""
    network = case.spec.network
    standing = own_subnets(case) if network.is_own else existing_subnets(case)
    zones = [str(subnet["AvailabilityZone"]) for subnet in standing.values()]
    if not network.is_own or len(zones) == network.zone_count:
        return zones  # subnets keep their zones, whatever the region gains
    return list(network.zone_names) or region_zones(case)[: network.zones]


def fleet_zones(fleet: FleetSpec, network: Sequence[str]) -> list[str]:
    """Return the zones that a fleet's nodes may stand in."""
    if fleet.placement == "spread":
        return list(network)
    return [fleet.zone] if fleet.zone else list(network[:1])


def offers(case: LiveCase) -> Mapping[str, list[str]]:
    """Return by instance type the zones that offer it, sorted; nothing for a type that the region lacks."""

    def look() -> Mapping[str, list[str]]:
        kinds = {case.spec.head.instance_type, *(fleet.instance_type for _, fleet in fleets_of(case))}
        found: dict[str, list[str]] = {}
        arguments: dict[str, Any] = {
            "LocationType": "availability-zone",
            "Filters": [{"Name": "instance-type", "Values": sorted(kinds)}],
        }
        usable = region_zones(case)
        for each in case.pages(
            "ec2", "describe_instance_type_offerings", "InstanceTypeOfferings", **arguments
        ):
            if each["Location"] in usable:
                found.setdefault(str(each["InstanceType"]), []).append(str(each["Location"]))
        return {kind: sorted(zones) for kind, zones in found.items()}

    return case.ask("the types that zones offer", "ec2:DescribeInstanceTypeOfferings", look)


def _wanted(case: LiveCase, network: Sequence[str]) -> Iterator[tuple[str, str, list[str]]]:
    """Yield the table, the type and the zones of the head and every fleet."""
    yield "head", case.spec.head.instance_type, list(network)
    for path, fleet in fleets_of(case):
        yield path, fleet.instance_type, fleet_zones(fleet, network)


def _where_instead(path: str, offered: Sequence[str], network: Sequence[str]) -> str:
    """Say which setting brings the machines to a zone that offers their type."""
    inside = [zone for zone in network if zone in offered]
    if inside and path != "head":
        return f'set {path}.zone = "{inside[0]}"'
    return f"name a zone in network.zone_names that offers it: {', '.join(offered)}"
