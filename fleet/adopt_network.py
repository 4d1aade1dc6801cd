"""What a killed apply had made in an environment's network and its state lacks, found by tags and places.

Most of a network has no name that the provider could refuse a second time. A second one is refused for its
place instead (a subnet's range, a VPC's gateway), and the provider does not say by which; or both stand.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

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
            name = body.get("tags", {}).get("Name")
            for each in standing:
                if place is not None and _name_of(each) == name and place in ("", *_vpcs_of(each)):
                    yield address, str(each[how.identity])
                    break


def _name_of(thing: Body) -> str | None:
    return next((str(tag["Value"]) for tag in thing.get("Tags", []) if tag["Key"] == "Name"), None)


def _vpcs_of(thing: Body) -> list[str]:
    """Return the VPC that it lies in, or is attached to."""
    return [str(each["VpcId"]) for each in (thing, *thing.get("Attachments", ())) if each.get("VpcId")]


def _find_associations(
    resources: Mapping[str, Mapping[str, Body]], ids: Mapping[str, str], client: Client, stack: str
) -> Iterator[tuple[str, str]]:
    for address, body in _missing(resources, ids, "aws_route_table_association"):
        subnet, table = _resolved(body["subnet_id"], ids), _resolved(body["route_table_id"], ids)
        if subnet and table and any(each.get("SubnetId") == subnet for each in _table(client, table)[0]):
            yield address, f"{subnet}/{table}"


def _find_routes(
    resources: Mapping[str, Mapping[str, Body]], ids: Mapping[str, str], client: Client, stack: str
) -> Iterator[tuple[str, str]]:
    for address, body in _missing(resources, ids, "aws_route"):
        table, to = _resolved(body["route_table_id"], ids), body.get("destination_cidr_block")
        if table and any(each.get("DestinationCidrBlock") == to for each in _table(client, table)[1]):
            yield address, f"{table}_{to}"


def _table(client: Client, table: str) -> tuple[list[Body], list[Body]]:
    """Return the associations and the routes of a route table."""
    (found,) = client("ec2").describe_route_tables(RouteTableIds=[table])["RouteTables"]
    return found.get("Associations", []), found.get("Routes", [])


def _find_rules(
    resources: Mapping[str, Mapping[str, Body]], ids: Mapping[str, str], client: Client, stack: str
) -> Iterator[tuple[str, str]]:
    for direction in ("ingress", "egress"):
        for address, body in _missing(resources, ids, f"aws_vpc_security_group_{direction}_rule"):
            group = _resolved(body["security_group_id"], ids)
            peer = _resolved(body.get("referenced_security_group_id"), ids)
            if not group or peer is None:
                continue
            wanted = (
                direction == "egress", body["ip_protocol"],
                body.get("from_port", -1), body.get("to_port", -1),
                body.get("cidr_ipv4", ""), _resolved(body.get("prefix_list_id"), ids), peer,
            )  # fmt: skip
            for each in _rules(client, group):
                if _of_rule(each) == wanted:
                    yield address, str(each["SecurityGroupRuleId"])
                    break


def _rules(client: Client, group: str) -> Iterable[Body]:
    by_group = [{"Name": "group-id", "Values": [group]}]
    rules: list[Body] = client("ec2").describe_security_group_rules(Filters=by_group)["SecurityGroupRules"]
    return rules


def _of_rule(rule: Body) -> tuple[object, ...]:
    return (
        rule["IsEgress"], rule["IpProtocol"], rule.get("FromPort", -1), rule.get("ToPort", -1),
        rule.get("CidrIpv4", ""), rule.get("PrefixListId", ""),
        rule.get("ReferencedGroupInfo", {}).get("GroupId", ""),
    )  # fmt: skip
