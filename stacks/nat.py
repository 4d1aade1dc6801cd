"""NAT: the way out to the internet, with public subnets that hold nothing else; nodes stay private."""

from __future__ import annotations

from collections.abc import Sequence

from stacks.aws.generated import vpc
from stacks.aws.layer import Ref
from stacks.cdk import Stack
from stacks.environment import EnvironmentSpec

ANYWHERE = "0.0.0.0/0"


def add_nat(
    stack: Stack, spec: EnvironmentSpec, vpc_id: Ref, zones: Sequence[str], private_tables: Sequence[Ref]
) -> None:
    """Add the internet gateway, the NAT gateways, and the private tables' default routes to them.

    With one gateway for all, it stands in the first zone, and all zones' ways out end with that zone.
    """
    internet = vpc.InternetGateway(stack, "main", vpc_id=vpc_id, tags={"Name": spec.name})
    table = vpc.RouteTable(stack, "public", vpc_id=vpc_id, tags={"Name": f"{spec.name}-public"})
    vpc.Route(
        stack,
        "public",
        route_table_id=table.id,
        destination_cidr_block=ANYWHERE,
        gateway_id=internet.id,
    )
    # A block that has no room for all is refused before this; a teardown goes on with those that fit.
    room = len(spec.network.public_subnets())
    count = min(room, len(zones)) if spec.network.nat == "per_zone" else 1
    gateways = [
        _gateway(stack, spec, vpc_id, internet, table.id, zones[index], index) for index in range(count)
    ]
    for index, private in enumerate(private_tables):
        vpc.Route(
            stack,
            f"private_{index}",
            route_table_id=private,
            destination_cidr_block=ANYWHERE,
            nat_gateway_id=gateways[index % count],
        )


def _gateway(
    stack: Stack,
    spec: EnvironmentSpec,
    vpc_id: Ref,
    internet: vpc.InternetGateway,
    table: Ref,
    zone: str,
    index: int,
) -> Ref:
    """Add the NAT gateway of one zone in a public subnet of its own; return its id."""
    name = f"public_{index}"
    tags = {"Name": f"{spec.name}-public-{index}"}
    subnet = vpc.Subnet(
        stack,
        name,
        vpc_id=vpc_id,
        cidr_block=str(spec.network.public_subnets()[index]),
        availability_zone=zone,
        # Even here nothing gets a public address by itself; the gateway has the one below.
        map_public_ip_on_launch=False,
        tags=tags,
        lifecycle={} if spec.network.zone_names else {"ignore_changes": ["availability_zone"]},
    )
    vpc.RouteTableAssociation(stack, name, subnet_id=subnet.id, route_table_id=table)
    # The order in which AWS takes these apart: gateway, address, internet gateway.
    address = vpc.Eip(stack, name, domain="vpc", tags=tags, depends_on=[internet])
    return vpc.NatGateway(
        stack,
        name,
        allocation_id=address.allocation_id,
        subnet_id=subnet.id,
        tags=tags,
        depends_on=[internet],
    ).id
