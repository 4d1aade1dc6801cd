"""Networks and what lies in them, found by tag and by the environment's own VPCs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from fleet.sweepers.things import Look, Sweeper, Thing, name_of, price, stack_of, tags_of
from stacks import naming


def _vpcs(look: Look) -> dict[str, str]:
    """Return the environment's VPCs and the stack that each belongs to."""
    found = look.pages("ec2", "describe_vpcs", "Vpcs", Filters=look.tag_filter())
    return {each["VpcId"]: stack_of(each) for each in found}


def _tagged_or_inside(
    look: Look, operation: str, key: str, identity: str, vpc_filter: str = "vpc-id"
) -> Iterator[tuple[Mapping[str, Any], str]]:
    """Yield (item, its stack) of what has the environment's tag or lies in one of its VPCs, each once.

    `vpc_filter` is what the operation calls the VPC that an item is in.
    """
    vpcs = _vpcs(look)
    found = {each[identity]: each for each in look.pages("ec2", operation, key, Filters=look.tag_filter())}
    if vpcs:
        inside = [{"Name": vpc_filter, "Values": list(vpcs)}]
        found |= {each[identity]: each for each in look.pages("ec2", operation, key, Filters=inside)}
    for each in found.values():
        # Not every cloud minds every filter, and what is another's must never be taken for ours.
        if _vpc_of(each) in vpcs or tags_of(each).get(naming.TAG_ENVIRONMENT) == look.environment:
            yield each, stack_of(each) or vpcs.get(_vpc_of(each), "")


def _vpc_of(item: Mapping[str, Any]) -> str:
    """Return the VPC that an item is in: an internet gateway is attached to it, a flow log is of it."""
    attached = [each["VpcId"] for each in item.get("Attachments", ())]
    return str(item.get("VpcId") or item.get("ResourceId") or next(iter(attached), ""))


def vpcs(look: Look) -> Iterator[Thing]:
    """Yield the VPCs."""
    for each in look.pages("ec2", "describe_vpcs", "Vpcs", Filters=look.tag_filter()):
        yield Thing(
            kind="VPC", id=each["VpcId"], name=name_of(each), stack=stack_of(each), note=each["CidrBlock"]
        )


def _simple(
    kind: str,
    operation: str,
    key: str,
    identity: str,
    leave_out: Callable[[Mapping[str, Any]], object] | None = None,
) -> Callable[[Look], Iterable[Thing]]:
    """Return the listing of things of the VPC that cost nothing by themselves."""

    def look_at(look: Look) -> Iterator[Thing]:
        for each, stack in _tagged_or_inside(look, operation, key, identity):
            if leave_out is None or not leave_out(each):
                yield Thing(kind=kind, id=each[identity], name=name_of(each), stack=stack)

    return look_at


def interfaces(look: Look) -> Iterator[Thing]:
    """Yield the network interfaces; those of an endpoint or a machine go with it.

    Each holds the subnet and the security groups that it is in. In somebody else's VPC those that a service
    made for us have no tag of ours, but our security group.
    """
    name = "NetworkInterfaces"
    found = {
        each["NetworkInterfaceId"]: (each, stack)
        for each, stack in _tagged_or_inside(look, "describe_network_interfaces", name, "NetworkInterfaceId")
    }
    groups = look.pages("ec2", "describe_security_groups", "SecurityGroups", Filters=look.tag_filter())
    stacks = {each["GroupId"]: stack_of(each) for each in groups}
    in_groups = [{"Name": "group-id", "Values": list(stacks)}]
    for each in look.pages("ec2", "describe_network_interfaces", name, Filters=in_groups) if stacks else ():
        held = next((stacks[group["GroupId"]] for group in each["Groups"] if group["GroupId"] in stacks), "")
        found.setdefault(each["NetworkInterfaceId"], (each, stack_of(each) or held))
    for each, stack in found.values():
        owner = each.get("Attachment", {}).get("InstanceId") or each.get("InterfaceType", "")
        yield Thing(
            kind="network interface",
            id=each["NetworkInterfaceId"],
            name=name_of(each),
            stack=stack,
            note=" ".join(filter(None, (owner, each.get("Status", "")))),
        )


def endpoints(look: Look) -> Iterator[Thing]:
    """Yield the VPC endpoints; an interface endpoint costs per zone."""
    for each, stack in _tagged_or_inside(look, "describe_vpc_endpoints", "VpcEndpoints", "VpcEndpointId"):
        if each.get("State", "").lower() in ("deleted", "deleting"):
            continue
        zones = len(each.get("SubnetIds") or ())
        costs = each["VpcEndpointType"] == "Interface"
        yield Thing(
            kind="VPC endpoint",
            id=each["VpcEndpointId"],
            name=each["ServiceName"],
            stack=stack,
            usd_per_hour=price("interface_endpoint", zones) if costs else 0.0,
            created=each.get("CreationTimestamp"),
            note=f"{each['VpcEndpointType'].lower()}, {zones} zones" if costs else "gateway",
        )


def nat_gateways(look: Look) -> Iterator[Thing]:
    """Yield the NAT gateways."""
    found = _tagged_or_inside(look, "describe_nat_gateways", "NatGateways", "NatGatewayId")
    for each, stack in found:
        if each["State"] not in ("deleted", "deleting"):
            yield Thing(
                kind="NAT gateway",
                id=each["NatGatewayId"],
                name=name_of(each),
                stack=stack,
                usd_per_hour=price("nat_gateway"),
                created=each.get("CreateTime"),
            )


def addresses(look: Look) -> Iterator[Thing]:
    """Yield the public addresses."""
    for each in look.client("ec2").describe_addresses(Filters=look.tag_filter())["Addresses"]:
        yield Thing(
            kind="public address",
            id=each["AllocationId"],
            name=each["PublicIp"],
            stack=stack_of(each),
            usd_per_hour=price("public_ipv4"),
        )


def internet_gateways(look: Look) -> Iterator[Thing]:
    """Yield the internet gateways."""
    key, identity = "InternetGateways", "InternetGatewayId"
    for each, stack in _tagged_or_inside(
        look, "describe_internet_gateways", key, identity, "attachment.vpc-id"
    ):
        yield Thing(kind="internet gateway", id=each[identity], name=name_of(each), stack=stack)


def flow_logs(look: Look) -> Iterator[Thing]:
    """Yield the flow logs."""
    for each, stack in _tagged_or_inside(look, "describe_flow_logs", "FlowLogs", "FlowLogId", "resource-id"):
        yield Thing(
            kind="flow log",
            id=each["FlowLogId"],
            stack=stack,
            usd_per_hour=None,
            note="costs by the gigabyte",
        )


SWEEPERS = (
    Sweeper(title="VPCs", covers=("ec2:vpc",), look=vpcs),
    Sweeper(
        title="subnets",
        covers=("ec2:subnet",),
        look=_simple("subnet", "describe_subnets", "Subnets", "SubnetId"),
    ),
    Sweeper(
        title="route tables",
        covers=("ec2:route-table",),
        look=_simple(
            "route table",
            "describe_route_tables",
            "RouteTables",
            "RouteTableId",
            lambda each: any(link.get("Main") for link in each.get("Associations", ())),
        ),
    ),
    Sweeper(
        title="security groups",
        covers=("ec2:security-group", "ec2:security-group-rule"),
        look=_simple(
            "security group",
            "describe_security_groups",
            "SecurityGroups",
            "GroupId",
            lambda each: each["GroupName"] == "default",
        ),
    ),
    Sweeper(title="network interfaces", covers=("ec2:network-interface",), look=interfaces),
    Sweeper(title="VPC endpoints", covers=("ec2:vpc-endpoint",), look=endpoints),
    Sweeper(title="NAT gateways", covers=("ec2:natgateway",), look=nat_gateways),
    Sweeper(title="public addresses", covers=("ec2:elastic-ip",), look=addresses),
    Sweeper(title="internet gateways", covers=("ec2:internet-gateway",), look=internet_gateways),
    Sweeper(title="flow logs", covers=("ec2:vpc-flow-log",), look=flow_logs),
)
