"""A VPC of the environment's own: a private subnet a zone, each with a route table that leads nowhere."""

from __future__ import annotations

from stacks.aws.generated import vpc
from stacks.aws.layer import Lifecycle, Ref
from stacks.cdk import Stack
from stacks.environment import EnvironmentSpec
from stacks.nat import add_nat
from stacks.vpc_parts import VpcParts


def add_own_vpc(stack: Stack, spec: EnvironmentSpec) -> VpcParts:
    """Add the VPC, its private subnets with their route tables, and the NAT gateways that are asked for."""
    main = vpc.Vpc(
        stack,
        "main",
        cidr_block=str(spec.network.cidr),
        # Both, or the interface endpoints cannot answer under the services' own names.
        enable_dns_hostnames=True,
        enable_dns_support=True,
        tags={"Name": spec.name},
    )
    # Without its rules: what is started without a group gets this one, and can then talk to nobody
    # (CIS AWS Foundations Benchmark, "the default security group of every VPC restricts all traffic").
    vpc.DefaultSecurityGroup(stack, "main", vpc_id=main.id, tags={"Name": f"{spec.name}-default"})
    zones = _zones(stack, spec)
    subnets = [_subnet(stack, spec, main, zones, index) for index in range(len(zones))]
    tables = [_route_table(stack, spec, main, subnet, index) for index, subnet in enumerate(subnets)]
    if spec.network.reaches_out:
        add_nat(stack, spec, main.id, zones, tables)
    return VpcParts(vpc_id=main.id, subnet_ids=tuple(subnets), route_table_ids=tuple(tables))


def _zones(stack: Stack, spec: EnvironmentSpec) -> list[str]:
    """Return the names of the zones: as given, or references to the region's first ones."""
    if spec.network.zone_names:
        return list(spec.network.zone_names[: spec.network.zone_count])
    # Asked for, because not every account has a zone `a`; local zones, which are opted in to, are no choice.
    available = vpc.DataAvailabilityZones(
        stack, "available", filter=[{"name": "opt-in-status", "values": ["opt-in-not-required"]}]
    )
    return [available.ref("names", index) for index in range(spec.network.zone_count)]


def _subnet(stack: Stack, spec: EnvironmentSpec, main: vpc.Vpc, zones: list[str], index: int) -> Ref:
    """Add the private subnet of one zone and return its id."""
    lifecycle: Lifecycle = {}
    if not spec.network.zone_names:
        # A zone that the region gains must not move subnets that stand; no machine would survive it.
        lifecycle = {"ignore_changes": ["availability_zone"]}
    return vpc.Subnet(
        stack,
        f"private_{index}",
        vpc_id=main.id,
        cidr_block=str(spec.network.subnets()[index]),
        availability_zone=zones[index],
        map_public_ip_on_launch=False,
        tags={"Name": f"{spec.name}-private-{index}"},
        lifecycle=lifecycle,
    ).id


def _route_table(stack: Stack, spec: EnvironmentSpec, main: vpc.Vpc, subnet: Ref, index: int) -> Ref:
    """Add the subnet's route table and return its id.

    Each zone has its own even without NAT, so that NAT can come and go without another table.
    """
    name = f"private_{index}"
    table = vpc.RouteTable(stack, name, vpc_id=main.id, tags={"Name": f"{spec.name}-private-{index}"})
    vpc.RouteTableAssociation(stack, name, subnet_id=subnet, route_table_id=table.id)
    return table.id
