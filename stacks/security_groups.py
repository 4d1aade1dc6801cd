"""Who may talk to whom in an environment: nodes to each other, the endpoints, S3; nobody in from outside.

Outwards the nodes' group follows the network: without a way out it names the endpoints and S3 alone, so that
a route which somebody adds by hand still leads nowhere. DNS, time and metadata need no rule: AWS answers them
at addresses that security groups do not filter. Each rule says what it is for in its description, in which
EC2 takes no apostrophe, and in its name, which the console shows.
"""

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
HTTP: Ports = {"ip_protocol": "tcp", "from_port": 80, "to_port": 80}
ANY_PROTOCOL = "-1"
ANYWHERE = "0.0.0.0/0"


@dataclass(frozen=True)
class SecurityGroups:
    """Ids of the security groups."""

    nodes: Ref
    """Of the head node and the nodes."""
    endpoints: tuple[Ref, ...]
    """Of the interface endpoints; none where those of the VPC are used."""


def add_security_groups(
    stack: Stack, spec: EnvironmentSpec, vpc_id: str, s3_prefix_list_id: str
) -> SecurityGroups:
    """Add the security groups and their rules; `s3_prefix_list_id` are the addresses of S3."""
    nodes = _group(stack, spec, vpc_id, naming.SECURITY_GROUP_NODES, "Head node and nodes")
    _add_rules_among_nodes(stack, nodes)
    vpc.VpcSecurityGroupEgressRule(
        stack,
        "s3",
        security_group_id=nodes,
        prefix_list_id=s3_prefix_list_id,
        description="Nodes to S3",
        tags={"Name": "Nodes to S3"},
        **HTTPS,
    )
    if spec.network.reaches_out:
        _add_way_out(stack, nodes)
    if spec.network.endpoints == "existing":
        _add_way_to_existing_endpoints(stack, spec, nodes)
        return SecurityGroups(nodes, ())
    return SecurityGroups(nodes, (_add_endpoints_group(stack, spec, vpc_id, nodes),))


def _group(stack: Stack, spec: EnvironmentSpec, vpc_id: str, name: str, what: str) -> Ref:
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
            description="Nodes among themselves",
            tags={"Name": "Nodes among themselves"},
        )


def _add_endpoints_group(stack: Stack, spec: EnvironmentSpec, vpc_id: str, nodes: Ref) -> Ref:
    """Add the interface endpoints' group and the rules between it and the nodes; return its id."""
    endpoints = _group(stack, spec, vpc_id, naming.SECURITY_GROUP_ENDPOINTS, "Interface endpoints")
    vpc.VpcSecurityGroupEgressRule(
        stack,
        "endpoints",
        security_group_id=nodes,
        referenced_security_group_id=endpoints,
        description="Nodes to the interface endpoints",
        tags={"Name": "Nodes to the interface endpoints"},
        **HTTPS,
    )
    if spec.network.is_own:
        vpc.VpcSecurityGroupIngressRule(
            stack,
            "endpoints",
            security_group_id=endpoints,
            referenced_security_group_id=nodes,
            description="Nodes of the environment",
            tags={"Name": "Nodes of the environment"},
            **HTTPS,
        )
    else:
        # Endpoints answer under the services' names for the whole VPC: whoever else is in it would else be
        # cut off from these services.
        vpc.VpcSecurityGroupIngressRule(
            stack,
            "endpoints",
            security_group_id=endpoints,
            cidr_ipv4=str(spec.network.cidr),
            description="The VPC that the environment is in",
            tags={"Name": "The VPC that the environment is in"},
            **HTTPS,
        )
    return endpoints


def _add_way_to_existing_endpoints(stack: Stack, spec: EnvironmentSpec, nodes: Ref) -> None:
    """Let nodes reach the VPC's own endpoints, whose security groups are their owner's and not known here."""
    vpc.VpcSecurityGroupEgressRule(
        stack,
        "endpoints",
        security_group_id=nodes,
        cidr_ipv4=str(spec.network.cidr),
        description="Nodes to the endpoints of the VPC",
        tags={"Name": "Nodes to the endpoints of the VPC"},
        **HTTPS,
    )


def _add_way_out(stack: Stack, nodes: Ref) -> None:
    """Let nodes fetch over HTTPS, and over HTTP, which the mirrors of Linux distributions still speak.

    Nothing else: no SSH to anywhere, no mail, no other protocol to carry data out on.
    """
    for name, ports in (("out_https", HTTPS), ("out_http", HTTP)):
        vpc.VpcSecurityGroupEgressRule(
            stack,
            name,
            security_group_id=nodes,
            cidr_ipv4=ANYWHERE,
            description=f"Nodes to the internet, port {ports['to_port']}",
            tags={"Name": f"Nodes to the internet, port {ports['to_port']}"},
            **ports,
        )
