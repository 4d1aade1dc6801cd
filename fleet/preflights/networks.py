"""Networks: does the block fit beside what stands, and is an existing VPC what the environment needs?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from ipaddress import IPv4Network
from typing import Any

from fleet.listings.things import tags_of
from fleet.preflights.case import LiveCase
from fleet.preflights.subnets import (
    dns_is_on,
    endpoints,
    existing_subnets,
    existing_vpc,
    route_tables,
    vpcs,
)
from stacks import naming
from stacks.endpoint_services import interface_services
from stacks.problems import Problem

_ANYWHERE = "0.0.0.0/0"


def block_is_no_other_environments(case: LiveCase) -> Iterator[Problem]:
    """No other environment stands in the account and region with an overlapping network."""
    for vpc, block in _overlapping(case):
        environment = tags_of(vpc).get(naming.TAG_ENVIRONMENT)
        if environment:
            team = tags_of(vpc).get(naming.TAG_TEAM, "?")
            yield case.problem(
                "network.cidr",
                f"{case.spec.network.cidr} overlaps {block} of the environment {environment} (team {team}), "
                f"which stands as {vpc['VpcId']}",
                "take another block",
            )


def block_is_no_other_vpcs(case: LiveCase) -> Iterator[Problem]:
    """No other VPC in the account and region overlaps the network, or the two could never be joined."""
    for vpc, block in _overlapping(case):
        if naming.TAG_ENVIRONMENT not in tags_of(vpc):
            name = tags_of(vpc).get("Name") or ("the default VPC" if vpc.get("IsDefault") else "no name")
            yield case.problem(
                "network.cidr",
                f"{case.spec.network.cidr} overlaps {block} of {vpc['VpcId']} ({name})",
                "take another block if the two may ever have to talk",
            )


def vpc_is_there(case: LiveCase) -> Iterator[Problem]:
    """The existing VPC is there, has the block, and has DNS where endpoints are made in it."""
    network = case.spec.network
    if network.is_own:
        return
    vpc = existing_vpc(case)
    if vpc is None:
        yield case.problem(
            "network.vpc_id",
            f"there is no VPC {network.vpc_id} in {case.spec.region}",
            f"there are: {', '.join(str(each['VpcId']) for each in vpcs(case)) or 'none'}",
        )
        return
    blocks = _blocks(vpc)
    if str(network.cidr) not in blocks:
        yield case.problem(
            "network.cidr",
            f"{network.vpc_id} does not have the block {network.cidr}",
            f"set the block that the subnets lie in: {', '.join(blocks)}",
        )
    if network.endpoints == "made":
        for attribute in ("enableDnsSupport", "enableDnsHostnames"):
            if not dns_is_on(case, attribute):
                yield case.problem(
                    "network.vpc_id",
                    f"{network.vpc_id} has {attribute} off, and endpoints cannot answer under the services' "
                    "names without",
                    'have its owner turn it on, or set network.endpoints = "existing"',
                )


def subnets_are_usable(case: LiveCase) -> Iterator[Problem]:
    """The subnets are there, lie in the VPC, and each in another zone, the one that is named for it."""
    network, found = case.spec.network, existing_subnets(case)
    if network.is_own:
        return
    zones: dict[str, str] = {}
    for index, subnet_id in enumerate(network.subnet_ids):
        subnet = found.get(subnet_id)
        if subnet is None:
            yield case.problem(
                "network.subnet_ids",
                f"there is no subnet {subnet_id} in {case.spec.region}",
                "correct the id",
            )
            continue
        zone = str(subnet["AvailabilityZone"])
        if subnet["VpcId"] != network.vpc_id:
            yield case.problem(
                "network.subnet_ids",
                f"{subnet_id} lies in {subnet['VpcId']} and not in {network.vpc_id}",
                "name subnets of that VPC",
            )
        if zone in zones:
            yield case.problem(
                "network.subnet_ids",
                f"{subnet_id} and {zones[zone]} are both in {zone}",
                "name one subnet a zone",
            )
        zones.setdefault(zone, subnet_id)
        if index < len(network.zone_names) and zone != network.zone_names[index]:
            yield case.problem(
                "network.zone_names",
                f"{subnet_id} is in {zone} and not in {network.zone_names[index]}",
                "name the zones of network.subnet_ids, in the same order",
            )


def subnets_are_private(case: LiveCase) -> Iterator[Problem]:
    """No subnet is open to the internet: none gives out public addresses or leads to an internet gateway."""
    for subnet_id, subnet in existing_subnets(case).items():
        if subnet.get("MapPublicIpOnLaunch"):
            yield case.problem(
                "network.subnet_ids",
                f"{subnet_id} gives a public address to what starts in it",
                "name a private subnet, or have its owner turn MapPublicIpOnLaunch off",
            )
        for route in route_tables(case).get(subnet_id, {}).get("Routes", []):
            if str(route.get("GatewayId", "")).startswith("igw-"):
                yield case.problem(
                    "network.subnet_ids",
                    f"{subnet_id} is public: {_destination(route)} leads to {route['GatewayId']}",
                    "name a private subnet",
                )


def machines_reach_what_they_need(case: LiveCase) -> Iterator[Problem]:
    """Machines in an existing VPC reach AWS's services: by endpoints, or by a way out."""
    network = case.spec.network
    if network.is_own or existing_vpc(case) is None:
        return
    there = {
        str(each["ServiceName"]).removeprefix(f"com.amazonaws.{case.spec.region}.")
        for each in endpoints(case)
    }
    if network.endpoints == "made":
        clash = sorted(there & _services(case))
        if clash:
            yield case.problem(
                "network.endpoints",
                f"{network.vpc_id} has endpoints to {', '.join(clash)} already; a second one cannot have the "
                "services' own names",
                'set network.endpoints = "existing"',
            )
        return
    for subnet_id in existing_subnets(case):
        routes = route_tables(case).get(subnet_id, {}).get("Routes", [])
        if network.reaches_out and any(_destination(route) == _ANYWHERE for route in routes):
            continue
        missing = sorted(_services(case) - there)
        missing += (
            [] if any(str(r.get("GatewayId", "")).startswith("vpce-") for r in routes) else ["s3 (gateway)"]
        )
        if missing:
            yield case.problem(
                "network.endpoints",
                f"from {subnet_id} machines do not reach {', '.join(missing)}: {network.vpc_id} has no such "
                "endpoint, and there is no way out that they may use",
                'have its owner add them, set network.endpoints = "made", or network.nat where the VPC has a '
                "way out",
            )


def way_out_is_there(case: LiveCase) -> Iterator[Problem]:
    """Where machines may use the existing VPC's way out, there is one."""
    if case.spec.network.is_own or not case.spec.network.reaches_out:
        return
    for subnet_id in existing_subnets(case):
        routes = route_tables(case).get(subnet_id, {}).get("Routes", [])
        if not any(_destination(route) == _ANYWHERE for route in routes):
            yield case.problem(
                "network.nat",
                f"{subnet_id} has no route to the internet, and fleetform makes none in a VPC of others",
                'have its owner add one, or set network.nat = "none"',
            )


def _services(case: LiveCase) -> set[str]:
    """Return the services that machines need an endpoint to, whoever makes it."""
    network = case.spec.network.model_copy(update={"endpoints": "made"})
    return {*interface_services(case.spec.model_copy(update={"network": network}), case.account.region)}


def _overlapping(case: LiveCase) -> Iterator[tuple[Mapping[str, Any], str]]:
    """Yield the VPCs of others whose block overlaps the one that is to be made."""
    if not case.spec.network.is_own:
        return
    for vpc in vpcs(case):
        for block in () if case.is_ours(vpc) else _blocks(vpc):
            if IPv4Network(block).overlaps(case.spec.network.cidr):
                yield vpc, block


def _blocks(vpc: Mapping[str, Any]) -> list[str]:
    parts = vpc.get("CidrBlockAssociationSet") or [{"CidrBlock": vpc["CidrBlock"]}]
    states = ("associated", "associating")
    return [
        str(each["CidrBlock"])
        for each in parts
        if each.get("CidrBlockState", {}).get("State", states[0]) in states
    ]


def _destination(route: Mapping[str, Any]) -> str:
    return str(route.get("DestinationCidrBlock") or route.get("DestinationIpv6CidrBlock") or "")
