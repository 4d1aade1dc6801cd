"""What a killed apply had made in an environment's network and its state lacks, found by tags and places.

Most of a network has no name that the provider could refuse a second time. A second one is refused for its
place instead (a subnet's range, a VPC's gateway), and the provider does not say by which; or both stand.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fleet.listings.things import name_of
from stacks import naming

Client = Callable[[str], Any]
Body = Mapping[str, Any]
_REFERENCE = re.compile(r"\$\{(\w+\.\w+)\.(?:id|arn)\}")
_GONE = ("deleting", "deleted", "failed")


@dataclass(frozen=True)
class _Kind:
    """How EC2 lists a kind of things."""

    operation: str
    key: str
    identity: str
    filters: str = "Filters"


_TAGGED = {
    "aws_vpc": _Kind("describe_vpcs", "Vpcs", "VpcId"),
    "aws_internet_gateway": _Kind("describe_internet_gateways", "InternetGateways", "InternetGatewayId"),
    "aws_subnet": _Kind("describe_subnets", "Subnets", "SubnetId"),
    "aws_route_table": _Kind("describe_route_tables", "RouteTables", "RouteTableId"),
    "aws_eip": _Kind("describe_addresses", "Addresses", "AllocationId"),
    "aws_nat_gateway": _Kind("describe_nat_gateways", "NatGateways", "NatGatewayId", "Filter"),
    "aws_vpc_endpoint": _Kind("describe_vpc_endpoints", "VpcEndpoints", "VpcEndpointId"),
    "aws_ebs_volume": _Kind("describe_volumes", "Volumes", "VolumeId"),
}
"""What carries the stack's tag and a Name of its own; the VPC before what lies in it."""


def find_in_network(
    resources: Mapping[str, Mapping[str, Body]], known: Mapping[str, str], client: Client, stack: str
) -> Iterator[tuple[str, str]]:
    """Yield (address, id) of what stands and is not `known`, which has the ids of the state by address.

    `resources` are the configuration's. AWS's own errors pass through.
    """
    ids = dict(known)
    for find in (_find_tagged, _find_associations, _find_routes, _find_rules):
        for address, identity in find(resources, ids, client, stack):
            ids[address] = identity
            yield address, identity


def _missing(
    resources: Mapping[str, Mapping[str, Body]], ids: Mapping[str, str], kind: str
) -> Iterator[tuple[str, Body]]:
    for key, body in resources.get(kind, {}).items():
        if (address := f"{kind}.{key}") not in ids:
            yield address, body


def _resolved(value: Any, ids: Mapping[str, str]) -> str | None:
    """Return what a setting comes to: itself, or the id of what it refers to, None where that is unknown."""
    text = str(value or "")
    if not text.startswith("${"):
        return text
    found = _REFERENCE.fullmatch(text)
    return ids.get(found[1]) if found else None


def _find_tagged(
    resources: Mapping[str, Mapping[str, Body]], ids: Mapping[str, str], client: Client, stack: str
) -> Iterator[tuple[str, str]]:
    for kind, how in _TAGGED.items():
        missing = list(_missing(resources, ids, kind))
        if not missing:
            continue
        by_stack = [{"Name": f"tag:{naming.TAG_STACK}", "Values": [stack]}]
        listed = getattr(client("ec2"), how.operation)(**{how.filters: by_stack})[how.key]
        standing = sorted(
            (each for each in listed if str(each.get("State", "")).lower() not in _GONE),
            key=lambda each: str(each[how.identity]),
        )
        for address, body in missing:
            place = _resolved(body.get("vpc_id"), ids)
            name = body.get("tags", {}).get("Name", "")
            for each in standing:
                if place is not None and name_of(each) == name and place in ("", *_vpcs_of(each)):
                    yield address, str(each[how.identity])
                    break


def _vpcs_of(thing: Body) -> list[str]:
    """Return the VPC that it lies in, or is attached to."""
    return [str(each["VpcId"]) for each in (thing, *thing.get("Attachments", ())) if each.get("VpcId")]


def _find_associations(
    resources: Mapping[str, Mapping[str, Body]], ids: Mapping[str, str], client: Client, stack: str
) -> Iterator[tuple[str, str]]:
    missing = list(_missing(resources, ids, "aws_route_table_association"))
    tables = _tables(client, {_resolved(body["route_table_id"], ids) for _, body in missing})
    for address, body in missing:
        subnet, table = _resolved(body["subnet_id"], ids), _resolved(body["route_table_id"], ids)
        standing = tables.get(table or "", {}).get("Associations", ())
        if subnet and any(each.get("SubnetId") == subnet for each in standing):
            yield address, f"{subnet}/{table}"


def _find_routes(
    resources: Mapping[str, Mapping[str, Body]], ids: Mapping[str, str], client: Client, stack: str
) -> Iterator[tuple[str, str]]:
    missing = list(_missing(resources, ids, "aws_route"))
    tables = _tables(client, {_resolved(body["route_table_id"], ids) for _, body in missing})
    for address, body in missing:
        table, to = _resolved(body["route_table_id"], ids), body.get("destination_cidr_block")
        standing = tables.get(table or "", {}).get("Routes", ())
        if any(each.get("DestinationCidrBlock") == to for each in standing):
            yield address, f"{table}_{to}"


def _tables(client: Client, wanted: Collection[str | None]) -> dict[str, Body]:
    """Return those of the route tables that stand, by their ids."""
    listed = _listed(client, "describe_route_tables", "RouteTables", "route-table-id", wanted)
    return {str(each["RouteTableId"]): each for each in listed}


def _listed(
    client: Client, operation: str, key: str, by: str, wanted: Collection[str | None]
) -> Iterator[Body]:
    """Yield what EC2 lists by a filter: of those that are wanted and known, what stands."""
    if values := sorted(filter(None, wanted)):
        pages = client("ec2").get_paginator(operation).paginate(Filters=[{"Name": by, "Values": values}])
        for page in pages:
            yield from page[key]


def _find_rules(
    resources: Mapping[str, Mapping[str, Body]], ids: Mapping[str, str], client: Client, stack: str
) -> Iterator[tuple[str, str]]:
    missing = [
        (direction == "egress", address, body)
        for direction in ("ingress", "egress")
        for address, body in _missing(resources, ids, f"aws_vpc_security_group_{direction}_rule")
    ]
    groups = {_resolved(body["security_group_id"], ids) for _, _, body in missing}
    rules = list(_listed(client, "describe_security_group_rules", "SecurityGroupRules", "group-id", groups))
    standing = {_of_rule(each): str(each["SecurityGroupRuleId"]) for each in rules}
    for outward, address, body in missing:
        wanted = (
            _resolved(body["security_group_id"], ids), outward, body["ip_protocol"],
            body.get("from_port", -1), body.get("to_port", -1), body.get("cidr_ipv4", ""),
            _resolved(body.get("prefix_list_id"), ids),
            _resolved(body.get("referenced_security_group_id"), ids),
        )  # fmt: skip
        if wanted in standing:
            yield address, standing[wanted]


def _of_rule(rule: Body) -> tuple[object, ...]:
    """Return what tells a rule from others: EC2 has no two with the same."""
    return (
        rule["GroupId"], rule["IsEgress"], rule["IpProtocol"],
        rule.get("FromPort", -1), rule.get("ToPort", -1),
        rule.get("CidrIpv4", ""), rule.get("PrefixListId", ""),
        rule.get("ReferencedGroupInfo", {}).get("GroupId", ""),
    )  # fmt: skip
