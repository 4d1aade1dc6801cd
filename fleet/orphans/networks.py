"""Everything of an account that a network is made of, lies in one, or leads to it."""

from __future__ import annotations

from collections.abc import Iterator

from fleet.orphans.listed import Item, Link, Listed, Lister, Row, every, links
from fleet.sweepers.compute import balancer_tags
from fleet.sweepers.things import Look, Thing, price, stack_of, tags_of

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


ROWS = (
    Row(
        kind="VPC", title="VPCs", covers=("ec2:vpc",), service="ec2", operation="describe_vpcs", key="Vpcs",
        identity="VpcId", note=lambda item: item["CidrBlock"], leave_out=lambda item: item.get("IsDefault"),
    ),
    Row(
        kind="subnet", title="subnets", covers=("ec2:subnet",), service="ec2",
        operation="describe_subnets", key="Subnets", identity="SubnetId",
        links=lambda item: links("lies in", "VPC", item["VpcId"]),
    ),
    Row(
        kind="route table", title="route tables", covers=("ec2:route-table",), service="ec2",
        operation="describe_route_tables", key="RouteTables", identity="RouteTableId", links=_in_vpc,
        leave_out=lambda item: any(each.get("Main") for each in item.get("Associations", ())),
    ),
    Row(
        kind="network access list", title="network access lists", covers=("ec2:network-acl",),
        service="ec2", operation="describe_network_acls", key="NetworkAcls", identity="NetworkAclId",
        links=_in_vpc, leave_out=lambda item: item.get("IsDefault"),
    ),
    Row(
        kind="security group", title="security groups",
        covers=("ec2:security-group", "ec2:security-group-rule"), service="ec2",
        operation="describe_security_groups", key="SecurityGroups", identity="GroupId", named="GroupName",
        links=_in_vpc, leave_out=lambda item: item["GroupName"] == "default",
        texts=lambda item: (item.get("Description") or "",),
    ),
    Row(
        kind="network interface", title="network interfaces", covers=("ec2:network-interface",),
        service="ec2", operation="describe_network_interfaces", key="NetworkInterfaces",
        identity="NetworkInterfaceId", links=_interface_links, note=_interface_note,
        texts=lambda item: (item.get("Description") or "",),
        comes_along=lambda item: item.get("RequesterManaged") or item.get("Attachment", {}).get("InstanceId"),
    ),
    Row(
        kind="VPC endpoint", title="VPC endpoints", covers=("ec2:vpc-endpoint",), service="ec2",
        operation="describe_vpc_endpoints", key="VpcEndpoints", identity="VpcEndpointId",
        named="ServiceName", created="CreationTimestamp", links=_in_vpc_and_groups, costs=_endpoint_costs,
        note=_endpoint_note,
        brings=lambda item: tuple(item.get("NetworkInterfaceIds") or ()),
        leave_out=lambda item: item.get("State", "").lower() in ("deleted", "deleting"),
    ),
    Row(
        kind="NAT gateway", title="NAT gateways", covers=("ec2:natgateway",), service="ec2",
        operation="describe_nat_gateways", key="NatGateways", identity="NatGatewayId", created="CreateTime",
        links=_in_vpc, costs=lambda item: price("nat_gateway"),
        brings=_nat_interfaces,
        leave_out=lambda item: item["State"] in ("deleted", "deleting"),
    ),
    Row(
        kind="public address", title="public addresses", covers=("ec2:elastic-ip",), service="ec2",
        operation="describe_addresses", key="Addresses", identity="AllocationId", named="PublicIp",
        links=_address_links, costs=lambda item: price("public_ipv4"),
        leave_out=lambda item: not item.get("AllocationId"),
    ),
    Row(
        kind="internet gateway", title="internet gateways", covers=("ec2:internet-gateway",), service="ec2",
        operation="describe_internet_gateways", key="InternetGateways", identity="InternetGatewayId",
        links=lambda item: links(
            "is attached to", "VPC", *(each["VpcId"] for each in item.get("Attachments", ()))
        ),
    ),
    Row(
        kind="flow log", title="flow logs", covers=("ec2:vpc-flow-log",), service="ec2",
        operation="describe_flow_logs", key="FlowLogs", identity="FlowLogId", created="CreationTime",
        links=lambda item: links("is of", "VPC", item.get("ResourceId")), costs=lambda item: None,
        note=lambda item: "costs by the gigabyte",
    ),
)  # fmt: skip
"""What one call tells all about."""


def balancers(look: Look) -> Iterator[Listed]:
    """Yield the load balancers; the stacks make none, but what lies in our network holds it back."""
    found = {
        str(each["LoadBalancerArn"]): each
        for each in every(look, "elbv2", "describe_load_balancers", "LoadBalancers")
    }
    for described in balancer_tags(look, list(found)):
        item = found[described["ResourceArn"]]
        yield Listed(
            thing=Thing(
                kind="load balancer",
                id=item["LoadBalancerArn"],
                name=item["LoadBalancerName"],
                stack=stack_of(described),
                usd_per_hour=price("load_balancer"),
                created=item.get("CreatedTime"),
            ),
            region=look.region,
            tags=tags_of(described),
            links=(
                *_in_vpc(item),
                *links("lies in", "subnet", *(each.get("SubnetId") for each in item["AvailabilityZones"])),
                *links("is in", "security group", *item.get("SecurityGroups", ())),
            ),
        )


def target_groups(look: Look) -> Iterator[Listed]:
    """Yield the target groups of load balancers."""
    found = {
        str(each["TargetGroupArn"]): each
        for each in every(look, "elbv2", "describe_target_groups", "TargetGroups")
    }
    for described in balancer_tags(look, list(found)):
        item = found[described["ResourceArn"]]
        yield Listed(
            thing=Thing(
                kind="target group",
                id=item["TargetGroupArn"],
                name=item["TargetGroupName"],
                stack=stack_of(described),
            ),
            region=look.region,
            tags=tags_of(described),
            links=(*_in_vpc(item), *links("is of", "load balancer", *item.get("LoadBalancerArns", ()))),
        )


LISTERS = (
    *(row.lister for row in ROWS),
    Lister(title="load balancers", covers=("elasticloadbalancing:loadbalancer",), look=balancers),
    Lister(title="target groups", covers=("elasticloadbalancing:targetgroup",), look=target_groups),
)
