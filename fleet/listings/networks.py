"""Everything of an account that a network is made of, lies in one, or leads to it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from fleet.listings.listed import Item, Link, Listed, Lister, links
from fleet.listings.rows import Row, Within
from fleet.listings.things import Look, Thing, ask, price, stack_of, tags_of

VOUCHING = frozenset({"subnet", "route table", "internet gateway", "NAT gateway", "flow log"})
"""Kinds that the stacks make in no VPC but their own: one with our tag proves the VPC that it is of."""


def _in_vpc(item: Item) -> tuple[Link, ...]:
    """Return what a thing lies in: its VPC, and where it tells them its subnets."""
    subnets = (item.get("SubnetId"), *(item.get("SubnetIds") or ()))
    return (*links("lies in", "VPC", item.get("VpcId")), *links("lies in", "subnet", *subnets))


def _in_vpc_and_groups(item: Item) -> tuple[Link, ...]:
    groups = (each["GroupId"] for each in item.get("Groups", ()))
    return (*_in_vpc(item), *links("is in", "security group", *groups))


def _interface_links(item: Item) -> tuple[Link, ...]:
    machine = item.get("Attachment", {}).get("InstanceId")
    return (*_in_vpc_and_groups(item), *links("is attached to", "EC2 instance", machine))


def _interface_note(item: Item) -> str:
    owner = item.get("Attachment", {}).get("InstanceId") or item.get("InterfaceType", "")
    return " ".join(filter(None, (owner, item.get("Status", ""))))


def _address_links(item: Item) -> tuple[Link, ...]:
    return (
        *links("is the address of", "network interface", item.get("NetworkInterfaceId")),
        *links("is the address of", "EC2 instance", item.get("InstanceId")),
    )


def _is_interface_endpoint(item: Item) -> bool:
    return bool(item["VpcEndpointType"] == "Interface")


def _endpoint_costs(item: Item) -> float | None:
    zones = len(item.get("SubnetIds") or ())
    return price("interface_endpoint", zones) if _is_interface_endpoint(item) else 0.0


def _endpoint_note(item: Item) -> str:
    zones = len(item.get("SubnetIds") or ())
    return f"interface, {zones} zones" if _is_interface_endpoint(item) else "gateway"


def _nat_interfaces(item: Item) -> tuple[str, ...]:
    found = (each.get("NetworkInterfaceId") for each in item.get("NatGatewayAddresses", ()))
    return tuple(each for each in found if each)


_IN_A_VPC = Within("VPC", "vpc-id", "describe_vpcs", "Vpcs", "VpcId")
_IN_A_GROUP = Within("security group", "group-id", "describe_security_groups", "SecurityGroups", "GroupId")
ROWS = (
    Row(
        kind="VPC", title="VPCs", covers=("ec2:vpc",), service="ec2", operation="describe_vpcs", key="Vpcs",
        identity="VpcId", note=lambda item: item["CidrBlock"], leave_out=lambda item: item.get("IsDefault"),
        by_tag=True,
    ),
    Row(
        kind="subnet", title="subnets", covers=("ec2:subnet",), service="ec2",
        operation="describe_subnets", key="Subnets", identity="SubnetId",
        links=lambda item: links("lies in", "VPC", item["VpcId"]),
        by_tag=True, within=(_IN_A_VPC,),
    ),
    Row(
        kind="route table", title="route tables", covers=("ec2:route-table",), service="ec2",
        operation="describe_route_tables", key="RouteTables", identity="RouteTableId", links=_in_vpc,
        leave_out=lambda item: any(each.get("Main") for each in item.get("Associations", ())),
        by_tag=True, within=(_IN_A_VPC,),
    ),
    Row(
        kind="network access list", title="network access lists", covers=("ec2:network-acl",),
        service="ec2", operation="describe_network_acls", key="NetworkAcls", identity="NetworkAclId",
        links=_in_vpc, leave_out=lambda item: item.get("IsDefault"),
        by_tag=True, within=(_IN_A_VPC,),
    ),
    Row(
        kind="security group", title="security groups",
        covers=("ec2:security-group", "ec2:security-group-rule"), service="ec2",
        operation="describe_security_groups", key="SecurityGroups", identity="GroupId", named="GroupName",
        links=_in_vpc, leave_out=lambda item: item["GroupName"] == "default",
        texts=lambda item: (item.get("Description") or "",),
        by_tag=True, within=(_IN_A_VPC,),
    ),
    Row(
        kind="network interface", title="network interfaces", covers=("ec2:network-interface",),
        service="ec2", operation="describe_network_interfaces", key="NetworkInterfaces",
        identity="NetworkInterfaceId", links=_interface_links, note=_interface_note,
        texts=lambda item: (item.get("Description") or "",),
        comes_along=lambda item: item.get("RequesterManaged") or item.get("Attachment", {}).get("InstanceId"),
        # In somebody else's VPC those that a service made for us have no tag of ours, but our security group.
        by_tag=True, within=(_IN_A_VPC, _IN_A_GROUP),
    ),
    Row(
        kind="VPC endpoint", title="VPC endpoints", covers=("ec2:vpc-endpoint",), service="ec2",
        operation="describe_vpc_endpoints", key="VpcEndpoints", identity="VpcEndpointId",
        named="ServiceName", created="CreationTimestamp", links=_in_vpc_and_groups, costs=_endpoint_costs,
        note=_endpoint_note,
        brings=lambda item: tuple(item.get("NetworkInterfaceIds") or ()),
        leave_out=lambda item: item.get("State", "").lower() in ("deleted", "deleting"),
        by_tag=True, within=(_IN_A_VPC,),
    ),
    Row(
        kind="NAT gateway", title="NAT gateways", covers=("ec2:natgateway",), service="ec2",
        operation="describe_nat_gateways", key="NatGateways", identity="NatGatewayId", created="CreateTime",
        links=_in_vpc, costs=lambda item: price("nat_gateway"),
        brings=_nat_interfaces,
        leave_out=lambda item: item["State"] in ("deleted", "deleting"),
        by_tag=True, within=(_IN_A_VPC,),
    ),
    Row(
        kind="public address", title="public addresses", covers=("ec2:elastic-ip",), service="ec2",
        operation="describe_addresses", key="Addresses", identity="AllocationId", named="PublicIp",
        links=_address_links, costs=lambda item: price("public_ipv4"),
        leave_out=lambda item: not item.get("AllocationId"),
        by_tag=True,
    ),
    Row(
        kind="internet gateway", title="internet gateways", covers=("ec2:internet-gateway",), service="ec2",
        operation="describe_internet_gateways", key="InternetGateways", identity="InternetGatewayId",
        links=lambda item: links(
            "is attached to", "VPC", *(each["VpcId"] for each in item.get("Attachments", ()))
        ),
        by_tag=True, within=(replace(_IN_A_VPC, filter="attachment.vpc-id"),),
    ),
    Row(
        kind="flow log", title="flow logs", covers=("ec2:vpc-flow-log",), service="ec2",
        operation="describe_flow_logs", key="FlowLogs", identity="FlowLogId", created="CreationTime",
        links=lambda item: links("is of", "VPC", item.get("ResourceId")), costs=lambda item: None,
        note=lambda item: "costs by the gigabyte",
        by_tag=True, within=(replace(_IN_A_VPC, filter="resource-id"),),
    ),
)  # fmt: skip
"""What one call tells all about."""


def balancers(look: Look) -> Iterator[Listed]:
    """Yield the load balancers; the stacks make none, but what lies in our network holds it back."""
    for item, described in _balancing(look, "describe_load_balancers", "LoadBalancers", "LoadBalancerArn"):
        zones = (each.get("SubnetId") for each in item["AvailabilityZones"])
        thing = Thing(
            kind="load balancer",
            id=item["LoadBalancerArn"],
            name=item["LoadBalancerName"],
            stack=stack_of(described),
            usd_per_hour=price("load_balancer"),
            created=item.get("CreatedTime"),
        )
        yield Listed(
            thing=thing,
            region=look.region,
            tags=tags_of(described),
            links=(
                *_in_vpc(item),
                *links("lies in", "subnet", *zones),
                *links("is in", "security group", *item.get("SecurityGroups", ())),
            ),
        )


def target_groups(look: Look) -> Iterator[Listed]:
    """Yield the target groups of load balancers."""
    for item, described in _balancing(look, "describe_target_groups", "TargetGroups", "TargetGroupArn"):
        name = item["TargetGroupName"]
        yield Listed(
            thing=Thing(kind="target group", id=item["TargetGroupArn"], name=name, stack=stack_of(described)),
            region=look.region,
            tags=tags_of(described),
            links=(*_in_vpc(item), *links("is of", "load balancer", *item.get("LoadBalancerArns", ()))),
        )


def _balancing(look: Look, operation: str, key: str, identity: str) -> Iterator[tuple[Item, Item]]:
    """Yield what is looked for of a listing of Elastic Load Balancing, each with its description of tags."""
    found = {str(each[identity]): each for each in look.pages("elbv2", operation, key)}
    for described in balancer_tags(look, list(found)):
        if look.wants("", tags_of(described)):
            yield found[described["ResourceArn"]], described


def balancer_tags(look: Look, arns: list[str], at_once: int = 20) -> Iterator[Item]:
    """Yield each load balancer's description of tags; the API takes 20 at a time.

    It refuses all of them where one is gone, so they are then asked about one by one.
    """
    for start in range(0, len(arns), at_once):
        some = arns[start : start + at_once]
        answer = ask(look.client("elbv2").describe_tags, ResourceArns=some)
        if answer is not None:
            yield from answer["TagDescriptions"]
        elif at_once > 1:
            yield from balancer_tags(look, some, at_once=1)


LISTERS = (
    *(row.lister for row in ROWS),
    Lister(title="load balancers", covers=("elasticloadbalancing:loadbalancer",), look=balancers),
    Lister(
        title="target groups",
        covers=("elasticloadbalancing:targetgroup",),
        look=target_groups,
        of_account=True,
    ),
)
