"""The guardrails on an environment's network."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Network

from stacks.case import Case, Rule
from stacks.catalog import load_catalog
from stacks.problems import Problem

PRIVATE_BLOCKS = tuple(IPv4Network(block) for block in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"))
"""RFC 1918."""
AWS_RESERVED_ADDRESSES = 5
"""Addresses of every subnet that AWS keeps: network, router, DNS, future use, broadcast (VPC user guide)."""
ENDPOINT_ADDRESSES = 10
"""Addresses of every subnet left to interface endpoints, one each; more than the base stack makes."""


def network_is_private(case: Case) -> Iterator[Problem]:
    """The network lies in one of RFC 1918's blocks."""
    cidr = case.spec.network.cidr
    if not any(cidr.subnet_of(block) for block in PRIVATE_BLOCKS):
        blocks = ", ".join(str(block) for block in PRIVATE_BLOCKS)
        yield case.problem("network.cidr", f"{cidr} is not private", f"take a block out of {blocks}")


def network_has_a_vpcs_size(case: Case) -> Iterator[Problem]:
    """The network is /16 (the largest VPC) to /24 (below which its subnets hold next to nothing)."""
    cidr = case.spec.network.cidr
    if not 16 <= cidr.prefixlen <= 24:
        yield case.problem(
            "network.cidr", f"/{cidr.prefixlen} is no size for a network", "take a block of /16 to /24"
        )


def subnets_hold_every_node(case: Case) -> Iterator[Problem]:
    """Each subnet alone has addresses for every node, since a cluster placement group stays in one zone."""
    spec = case.spec
    machines = 1 + sum(fleet.max_nodes * _addresses(fleet.instance_type) for fleet in spec.fleets.values())
    needed = machines + AWS_RESERVED_ADDRESSES + ENDPOINT_ADDRESSES
    subnet = spec.network.subnets()[0] if spec.network.cidr.prefixlen <= 24 else None
    if subnet is not None and subnet.num_addresses < needed:
        yield case.problem(
            "network.cidr",
            f"a subnet ({subnet}) has {subnet.num_addresses} addresses where {needed} are needed: {machines} "
            f"by machines, {AWS_RESERVED_ADDRESSES} by AWS itself, {ENDPOINT_ADDRESSES} by endpoints",
            "take a larger block, or lower max_nodes",
        )


def _addresses(instance_type: str) -> int:
    """Return the addresses of one node: one, or one for each Elastic Fabric Adapter."""
    found = load_catalog().get(instance_type)
    return max(1, found.efa_interfaces) if found else 1


NETWORK_ERRORS: tuple[Rule, ...] = (network_is_private, network_has_a_vpcs_size, subnets_hold_every_node)
"""Rules on networks whose findings stop every act that builds."""
NETWORK_WARNINGS: tuple[Rule, ...] = ()
"""Rules on networks whose findings are told, and stop nothing."""
