"""The guardrails on an environment's network: its block, its zones and its addresses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from ipaddress import IPv4Network

from stacks.address_plan import SMALLEST_PREFIX, plan_addresses
from stacks.case import Case, Rule
from stacks.network_choice_rules import NETWORK_CHOICE_ERRORS, NETWORK_CHOICE_WARNINGS
from stacks.problems import Problem

PRIVATE_BLOCKS = tuple(IPv4Network(block) for block in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"))
"""RFC 1918."""
LARGEST_PREFIX, SMALLEST_VPC_PREFIX = 16, 28
"""The largest and the smallest VPC that AWS allows (VPC user guide)."""
ZONES = {"us-east-1": 6, "us-west-2": 4, "ap-northeast-1": 4, "ap-northeast-2": 4}
"""Availability zones of the regions that have more than three (AWS Regions and Availability Zones, 2025)."""
USUAL_ZONES = 3


def network_is_private(case: Case) -> Iterator[Problem]:
    """An environment's own network lies in one of RFC 1918's blocks."""
    network = case.spec.network
    if network.is_own and not any(network.cidr.subnet_of(block) for block in PRIVATE_BLOCKS):
        blocks = ", ".join(str(block) for block in PRIVATE_BLOCKS)
        yield case.problem("network.cidr", f"{network.cidr} is not private", f"take a block out of {blocks}")


def network_has_a_vpcs_size(case: Case) -> Iterator[Problem]:
    """The network is /16 (the largest VPC) to /24 (below which its subnets hold next to nothing)."""
    network = case.spec.network
    smallest = SMALLEST_PREFIX if network.is_own else SMALLEST_VPC_PREFIX
    if not LARGEST_PREFIX <= network.cidr.prefixlen <= smallest:
        yield case.problem(
            "network.cidr",
            f"/{network.cidr.prefixlen} is no size for a network",
            f"take a block of /{LARGEST_PREFIX} to /{smallest}",
        )


def subnets_hold_every_node(case: Case) -> Iterator[Problem]:
    """Each subnet has addresses for every node that may start in it, and for what stands beside the nodes."""
    for plan in plan_addresses(case.spec):
        if plan.size is not None and plan.size < plan.needed:
            parts = ", ".join(f"{count} by {what}" for what, count in plan.needs.items())
            yield case.problem(
                "network.cidr",
                f"a subnet ({plan.subnet}, {plan.zone}) has {plan.size} addresses where {plan.needed} are "
                f"needed: {parts}",
                "take a larger block, or lower max_nodes",
            )
            return


def public_subnets_have_room(case: Case) -> Iterator[Problem]:
    """A network with NAT has room for the small public subnets that the gateways stand in."""
    network = case.spec.network
    if not (network.is_own and network.reaches_out) or network.cidr.prefixlen > SMALLEST_PREFIX:
        return
    needed = network.zone_count if network.nat == "per_zone" else 1
    room = len(network.public_subnets())
    if room < needed:
        yield case.problem(
            "network.cidr",
            f"{network.cidr} has room for {room} public subnets beside the private ones, and {needed} NAT "
            "gateways need one each",
            'take a larger block, fewer zones, or `nat = "one"`',
        )


def region_has_the_zones(case: Case) -> Iterator[Problem]:
    """The region has as many zones as the network spans, and those that are named."""
    network, region = case.spec.network, case.spec.region
    for name in network.zone_names:
        if name[:-1] != region:
            yield case.problem(
                "network.zone_names", f"{name} is no zone of {region}", f"name zones such as `{region}a`"
            )
    most = ZONES.get(region, USUAL_ZONES)
    path = "network.zone_names" if network.zone_names else "network.zones"
    if network.is_own and network.zone_count > most:
        yield case.problem(
            path, f"{network.zone_count} zones where {region} has {most}", f"take {most} or fewer"
        )


def lists_name_everything_once(case: Case) -> Iterator[Problem]:
    """No zone and no subnet is named twice, and with both each subnet has its zone."""
    network = case.spec.network
    lists: tuple[tuple[str, Sequence[str]], ...] = (
        ("zone_names", network.zone_names),
        ("subnet_ids", network.subnet_ids),
    )
    for name, given in lists:
        for each in sorted({each for each in given if given.count(each) > 1}):
            yield case.problem(f"network.{name}", f"{each} is named twice", "name each once")
    zones, subnets = len(network.zone_names), len(network.subnet_ids)
    if zones and subnets and zones != subnets:
        yield case.problem(
            "network.zone_names",
            f"{zones} zones for {subnets} subnets",
            "name the zone of each of `subnet_ids`, in the same order, or none",
        )


NETWORK_ERRORS: tuple[Rule, ...] = (
    network_is_private,
    network_has_a_vpcs_size,
    subnets_hold_every_node,
    public_subnets_have_room,
    region_has_the_zones,
    lists_name_everything_once,
    *NETWORK_CHOICE_ERRORS,
)
"""Rules on networks whose findings stop every act that builds."""
NETWORK_WARNINGS: tuple[Rule, ...] = NETWORK_CHOICE_WARNINGS
"""Rules on networks whose findings are told, and stop nothing."""
