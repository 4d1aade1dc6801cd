"""Who may talk to whom in an environment: nodes to each other, the endpoints and S3, and nobody else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict

from stacks import naming
from stacks.aws.generated import vpc
from stacks.aws.layer import Ref
from stacks.cdk import Stack
from stacks.environment import EnvironmentSpec


class Ports(TypedDict):
    """Protocol and ports of a rule."""

    ip_protocol: str
    from_port: int
    to_port: int


HTTPS: Ports = {"ip_protocol": "tcp", "from_port": 443, "to_port": 443}
ANY_PROTOCOL = "-1"


@dataclass(frozen=True)
class SecurityGroups:
    """Ids of the security groups."""

    nodes: Ref
    """Of the head node and the nodes."""
    endpoints: Ref
    """Of the interface endpoints."""


def add_security_groups(
    stack: Stack, spec: EnvironmentSpec, vpc_id: Ref, s3_prefix_list_id: Ref
) -> SecurityGroups:
    """Add both security groups and their rules; `s3_prefix_list_id` are the addresses of S3."""
    nodes = _group(stack, spec, vpc_id, naming.SECURITY_GROUP_NODES, "Head node and nodes")
    endpoints = _group(stack, spec, vpc_id, naming.SECURITY_GROUP_ENDPOINTS, "Interface endpoints")
    _add_rules_among_nodes(stack, nodes)
    vpc.VpcSecurityGroupEgressRule(
        stack,
        "endpoints",
        security_group_id=nodes,
        referenced_security_group_id=endpoints,
        tags={"Name": "Nodes to the interface endpoints"},
        **HTTPS,
    )
    vpc.VpcSecurityGroupEgressRule(
        stack,
        "s3",
        security_group_id=nodes,
        prefix_list_id=s3_prefix_list_id,
        tags={"Name": "Nodes to S3"},
        **HTTPS,
    )
    vpc.VpcSecurityGroupIngressRule(
        stack,
        "endpoints",
        security_group_id=endpoints,
        cidr_ipv4=str(spec.network.cidr),
        tags={"Name": "The environment's own network"},
        **HTTPS,
    )
    return SecurityGroups(nodes, endpoints)


def _group(stack: Stack, spec: EnvironmentSpec, vpc_id: Ref, name: str, what: str) -> Ref:
    """Add a security group without rules, through which nothing goes in or out, and return its id."""
    title = naming.security_group(spec.name, name)
    return vpc.SecurityGroup(
        stack,
        name,
        name=title,
        description=f"{what} of {spec.name}",
        vpc_id=vpc_id,
        tags={"Name": title},
    ).id


def _add_rules_among_nodes(stack: Stack, nodes: Ref) -> None:
    """Allow all traffic within the group, both ways, as Elastic Fabric Adapters ask."""
    for rule in (vpc.VpcSecurityGroupIngressRule, vpc.VpcSecurityGroupEgressRule):
        rule(
            stack,
            "nodes",
            security_group_id=nodes,
            referenced_security_group_id=nodes,
            ip_protocol=ANY_PROTOCOL,
            tags={"Name": "Nodes among themselves"},
        )
