"""An environment's private network: no way in from outside, and out only to the services that nodes need."""

from __future__ import annotations

from dataclasses import dataclass

from stacks.aws.generated import vpc
from stacks.aws.layer import Ref
from stacks.cdk import Stack
from stacks.environment import EnvironmentSpec
from stacks.security_groups import add_security_groups

INTERFACE_ENDPOINTS = ("ec2", "ssm", "ssmmessages")
"""Services that nodes reach through an endpoint of their own; each costs money by the hour and the zone.

`ec2`: the head node looks for the running nodes. `ssm`: the agent registers, the head node sends commands.
`ssmmessages`: commands and sessions reach the agent (3.3.40 and later need no `ec2messages`). Credentials
come from the instance's own metadata (no `sts`), S3 encrypts with the KMS key itself (no `kms`), and what a
run writes goes to S3 (no `logs`), whose gateway endpoint is free.
"""


@dataclass(frozen=True)
class Network:
    """What the rest of an environment needs to know of its network."""

    vpc_id: Ref
    subnet_ids: tuple[Ref, ...]
    """One private subnet per availability zone."""
    nodes_security_group_id: Ref


def add_network(stack: Stack, spec: EnvironmentSpec) -> Network:
    """Add the network, its subnets, endpoints and security groups to the stack."""
    main = vpc.Vpc(
        stack,
        "main",
        cidr_block=str(spec.network.cidr),
        # Both, or the interface endpoints cannot answer under the services' own names.
        enable_dns_hostnames=True,
        enable_dns_support=True,
        tags={"Name": spec.name},
    )
    routes = vpc.RouteTable(stack, "private", vpc_id=main.id, tags={"Name": f"{spec.name}-private"})
    subnets = _add_subnets(stack, spec, main, routes)
    s3 = vpc.VpcEndpoint(
        stack,
        "s3",
        vpc_id=main.id,
        service_name=f"com.amazonaws.{spec.region}.s3",
        vpc_endpoint_type="Gateway",
        route_table_ids=[routes.id],
        tags={"Name": f"{spec.name}-s3"},
    )
    groups = add_security_groups(stack, spec, main.id, s3.prefix_list_id)
    for service in INTERFACE_ENDPOINTS:
        vpc.VpcEndpoint(
            stack,
            service,
            vpc_id=main.id,
            service_name=f"com.amazonaws.{spec.region}.{service}",
            vpc_endpoint_type="Interface",
            private_dns_enabled=True,
            subnet_ids=[subnet.id for subnet in subnets],
            security_group_ids=[groups.endpoints],
            tags={"Name": f"{spec.name}-{service}"},
        )
    return Network(main.id, tuple(subnet.id for subnet in subnets), groups.nodes)


def _add_subnets(
    stack: Stack, spec: EnvironmentSpec, main: vpc.Vpc, routes: vpc.RouteTable
) -> list[vpc.Subnet]:
    """Add one private subnet for each zone; the route table has no way to the internet."""
    # Asked for, because not every account has a zone `a`; local zones, which are opted in to, are no choice.
    zones = vpc.DataAvailabilityZones(
        stack, "available", filter=[{"name": "opt-in-status", "values": ["opt-in-not-required"]}]
    )
    subnets = []
    for index, block in enumerate(spec.network.subnets()):
        subnet = vpc.Subnet(
            stack,
            f"private_{index}",
            vpc_id=main.id,
            cidr_block=str(block),
            availability_zone=zones.ref("names", index),
            map_public_ip_on_launch=False,
            tags={"Name": f"{spec.name}-private-{index}"},
        )
        vpc.RouteTableAssociation(stack, f"private_{index}", subnet_id=subnet.id, route_table_id=routes.id)
        subnets.append(subnet)
    return subnets
