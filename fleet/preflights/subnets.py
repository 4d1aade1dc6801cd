"""An existing VPC and its subnets, as EC2 lists them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fleet import aws
from fleet.preflights.case import LiveCase

SMALLEST_PREFIX = 24
"""A smaller block is refused by the offline rules, and may not even be cut."""


def vpcs(case: LiveCase) -> list[Mapping[str, Any]]:
    """Return every VPC of the account in the region."""
    return case.ask(
        "the VPCs of the region", "ec2:DescribeVpcs", lambda: case.pages("ec2", "describe_vpcs", "Vpcs")
    )


def existing_vpc(case: LiveCase) -> Mapping[str, Any] | None:
    """Return the VPC that `network.vpc_id` names, None where there is none of that id."""
    return next((vpc for vpc in vpcs(case) if vpc["VpcId"] == case.spec.network.vpc_id), None)


def existing_subnets(case: LiveCase) -> Mapping[str, Mapping[str, Any]]:
    """Return the subnets that `network.subnet_ids` names, by id in that order; those that exist."""
    network = case.spec.network
    wanted = () if network.is_own else network.subnet_ids

    def look() -> Mapping[str, Mapping[str, Any]]:
        named = [{"Name": "subnet-id", "Values": list(wanted)}]
        found = {
            each["SubnetId"]: each for each in case.pages("ec2", "describe_subnets", "Subnets", Filters=named)
        }
        return {subnet: found[subnet] for subnet in wanted if subnet in found}

    return case.ask("the subnets of the VPC", "ec2:DescribeSubnets", look) if wanted else {}


def own_subnets(case: LiveCase) -> Mapping[str, Mapping[str, Any]]:
    """Return the private subnets that stand already of the environment's own network, by id, in order."""
    network = case.spec.network
    if not network.is_own or network.cidr.prefixlen > SMALLEST_PREFIX:
        return {}
    blocks = [str(block) for block in network.subnets()]

    def look() -> Mapping[str, Mapping[str, Any]]:
        found = case.pages("ec2", "describe_subnets", "Subnets")
        ours = [each for each in found if case.is_ours(each) and each["CidrBlock"] in blocks]
        ours.sort(key=lambda subnet: blocks.index(subnet["CidrBlock"]))
        return {each["SubnetId"]: each for each in ours}

    return case.ask("the subnets of the environment", "ec2:DescribeSubnets", look)


def route_tables(case: LiveCase) -> Mapping[str, Mapping[str, Any]]:
    """Return the route table of each named subnet: the VPC's main one where it has none of its own."""

    def look() -> Mapping[str, Mapping[str, Any]]:
        inside = [{"Name": "vpc-id", "Values": [case.spec.network.vpc_id]}]
        tables = case.pages("ec2", "describe_route_tables", "RouteTables", Filters=inside)
        own = {
            link["SubnetId"]: table
            for table in tables
            for link in table.get("Associations", [])
            if "SubnetId" in link
        }
        main = next(
            (table for table in tables if any(link.get("Main") for link in table.get("Associations", []))),
            None,
        )
        found = {subnet: own.get(subnet, main) for subnet in case.spec.network.subnet_ids}
        return {subnet: table for subnet, table in found.items() if table is not None}

    return case.ask("the routes of the VPC", "ec2:DescribeRouteTables", look)


def endpoints(case: LiveCase) -> list[Mapping[str, Any]]:
    """Return the endpoints of the existing VPC that others made and that stand."""

    def look() -> list[Mapping[str, Any]]:
        inside = [{"Name": "vpc-id", "Values": [case.spec.network.vpc_id]}]
        found = case.pages("ec2", "describe_vpc_endpoints", "VpcEndpoints", Filters=inside)
        return [each for each in found if not case.is_ours(each) and each["State"].lower() == "available"]

    return case.ask("the endpoints of the VPC", "ec2:DescribeVpcEndpoints", look)


def dns_is_on(case: LiveCase, attribute: str) -> bool:
    """Return whether the existing VPC has `enableDnsSupport` or `enableDnsHostnames`."""
    field = attribute[0].upper() + attribute[1:]

    def look() -> bool:
        client = case.client("ec2")
        answer = client.describe_vpc_attribute(VpcId=case.spec.network.vpc_id, Attribute=attribute)
        return bool(answer[field]["Value"])

    return case.ask("the DNS settings of the VPC", "ec2:DescribeVpcAttribute", look, attribute)


def is_missing(error: Exception) -> bool:
    """Return whether EC2 says that there is no such thing."""
    return "NotFound" in aws.error_code(error) or "Malformed" in aws.error_code(error)
