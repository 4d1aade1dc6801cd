"""What holds the parts of a network: interfaces, rules that name a group, and what lies in a VPC."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from fleet.holders.holder import Holder, Teardown
from fleet.holders.machines import listed_machines, machine_holder
from fleet.listings.listed import Key, Listed
from fleet.listings.networks import ROWS
from fleet.listings.things import Thing
from fleet.orphans.others import owner_of
from fleet.terraform_state import StateResource

Item = Mapping[str, Any]
_KEPT_BY_OWNER = frozenset(
    {
        "load_balancer", "network_load_balancer", "gateway_load_balancer", "gateway_load_balancer_endpoint",
        "transit_gateway", "api_gateway_managed", "global_accelerator_managed", "quicksight",
        "iot_rules_managed", "aws_codestar_connections_managed",
    }
)  # fmt: skip
"""Types of interfaces that a service takes away only after somebody has deleted what they are of.

EC2's API reference, NetworkInterface, `InterfaceType`. Lambda's, those of endpoints and of NAT gateways go
with what the stack itself has deleted; Lambda's take up to 40 minutes.
"""
_OF_A_PART = frozenset({"vpc_endpoint", "nat_gateway"})
"""Types of interfaces that are parts of what a stack, or somebody else, has made in the network."""
_WITH_INTERFACES = tuple(row for row in ROWS if row.kind in ("VPC endpoint", "NAT gateway"))
_IN_A_VPC = tuple(row for row in ROWS if row.kind not in ("VPC", "network interface", "public address"))


def on_subnet(teardown: Teardown, resource: StateResource) -> Iterator[Holder]:
    """Yield the interfaces in the subnet."""
    yield from _interfaces(teardown, "subnet-id", resource)


def on_group(teardown: Teardown, resource: StateResource) -> Iterator[Holder]:
    """Yield the interfaces in the security group, and the rules of other groups that name it."""
    yield from _interfaces(teardown, "group-id", resource)
    yield from _rules(teardown, resource)


def on_gateway(teardown: Teardown, resource: StateResource) -> Iterator[Holder]:
    """Yield the interfaces with a public address in the network: the gateway cannot leave it before them."""
    for vpc in sorted(teardown.own_networks):
        for each in _listed_interfaces(teardown, "vpc-id", vpc):
            if each.get("Association"):
                yield from _holders(teardown, [each], f"{resource.address} ({resource.id})")


def on_vpc(teardown: Teardown, resource: StateResource) -> Iterator[Holder]:
    """Yield everything that lies in the VPC and that Terraform does not know."""
    yield from _interfaces(teardown, "vpc-id", resource)
    on = f"{resource.address} ({resource.id})"
    for row in _IN_A_VPC:
        for item in row.items(teardown.look):
            listed = row.listed(teardown.look, item)
            lies_in = any(link.to == Key("VPC", resource.id) for link in listed.links)
            if lies_in and listed.thing.id not in teardown.managed:
                yield _part(teardown, item, listed, on)


def _part(teardown: Teardown, item: Item, listed: Listed, on: str) -> Holder:
    """Return what becomes of a part of the network that no state knows."""
    thing = listed.thing
    about = partial(Holder, kind=thing.kind, id=thing.id, on=on)
    inside = not owner_of(listed, "")
    if teardown.is_ours(item, inside=inside):
        return about(why="in no state", fate="clear", clear=teardown.removal(thing))
    return about(why="its tags are another's: delete it, or ask whose it is, then repeat", fate="stop")


# ------------------------------------------------------------------------------------- interfaces


def _interfaces(teardown: Teardown, by: str, resource: StateResource) -> Iterator[Holder]:
    on = f"{resource.address} ({resource.id})"
    yield from _holders(teardown, _listed_interfaces(teardown, by, resource.id), on)


def _listed_interfaces(teardown: Teardown, by: str, identity: str) -> list[Item]:
    filters = [{"Name": by, "Values": [identity]}]
    pages = teardown.look.pages("ec2", "describe_network_interfaces", "NetworkInterfaces", Filters=filters)
    return [each for each in pages if each["NetworkInterfaceId"] not in teardown.managed]


def _holders(teardown: Teardown, interfaces: list[Item], on: str) -> Iterator[Holder]:
    """Yield what becomes of each interface; of those of one machine, the machine."""
    machines = {each for item in interfaces if (each := item.get("Attachment", {}).get("InstanceId"))}
    by = [{"Name": "instance-id", "Values": sorted(machines)}]
    for machine in listed_machines(teardown, by) if machines else ():
        yield machine_holder(teardown, machine, on)
    of_parts = {item["NetworkInterfaceId"] for item in interfaces if _is_of_part(item)}
    parts = _parts(teardown) if of_parts else {}
    for item in interfaces:
        identity = item["NetworkInterfaceId"]
        if identity in of_parts and identity in parts:
            part, listed = parts[identity]
            if listed.thing.id not in teardown.managed:  # else Terraform destroys it
                yield _part(teardown, part, listed, on)
        elif not item.get("Attachment", {}).get("InstanceId"):
            yield _interface(teardown, item, on)


def _is_of_part(item: Item) -> bool:
    return item.get("InterfaceType") in _OF_A_PART and item["Status"] != "available"


def _parts(teardown: Teardown) -> dict[str, tuple[Item, Listed]]:
    """Return the endpoints and NAT gateways that stand, by the interfaces that go with them."""
    look = teardown.look
    standing = ((item, row.listed(look, item)) for row in _WITH_INTERFACES for item in row.items(look))
    return {interface: (item, listed) for item, listed in standing for interface in listed.brings}


def _interface(teardown: Teardown, item: Item, on: str) -> Holder:
    """Return what becomes of an interface that no machine has."""
    identity, kind = str(item["NetworkInterfaceId"]), item.get("InterfaceType", "interface")
    about = partial(Holder, kind="network interface", id=identity, on=on)
    said = item.get("Description") or kind
    if item["Status"] in ("attaching", "detaching"):
        return about(why=f"it is {item['Status']}", fate="wait")
    if item["Status"] != "available" and kind in _KEPT_BY_OWNER:
        return about(why=f"a service's ({said}): delete what it is of, then repeat", fate="stop")
    if item["Status"] != "available":
        return about(why=f"a service holds it and gives it back by itself ({said})", fate="wait")
    groups = {each["GroupId"] for each in item.get("Groups", ())}
    inside = item.get("VpcId") in teardown.own_networks or (bool(groups) and groups <= teardown.managed)
    if teardown.is_ours(item, inside=inside):
        remove = teardown.removal(Thing(kind="network interface", id=identity))
        return about(why="left behind, attached to nothing", fate="clear", clear=remove)
    return about(
        why=f"attached to nothing, but another's ({said}): ask whose it is, then repeat", fate="stop"
    )


# ------------------------------------------------------------------------------------- rules


def _rules(teardown: Teardown, resource: StateResource) -> Iterator[Holder]:
    """Yield the rules of other groups that name this one; EC2 keeps a group while there is one."""
    ec2, named = teardown.client("ec2"), {}
    for side in ("ip-permission.group-id", "egress.ip-permission.group-id"):
        filters = [{"Name": side, "Values": [resource.id]}]
        for each in teardown.look.pages("ec2", "describe_security_groups", "SecurityGroups", Filters=filters):
            named[each["GroupId"]] = each
    named.pop(resource.id, None)
    for identity, group in named.items():
        filters = [{"Name": "group-id", "Values": [identity]}]
        for rule in teardown.look.pages(
            "ec2", "describe_security_group_rules", "SecurityGroupRules", Filters=filters
        ):
            names_it = rule.get("ReferencedGroupInfo", {}).get("GroupId") == resource.id
            if names_it and rule["SecurityGroupRuleId"] not in teardown.managed:
                yield _rule(teardown, ec2, rule, group, f"{resource.address} ({resource.id})")


def _rule(teardown: Teardown, ec2: Any, rule: Item, group: Item, on: str) -> Holder:
    identity, owner = str(rule["SecurityGroupRuleId"]), str(group["GroupId"])
    about = partial(Holder, kind="security group rule", id=identity, on=on)
    if not teardown.is_ours(group, inside=group.get("VpcId") in teardown.own_networks):
        why = f"it is of {owner}, another's group: take the rule out, then repeat"
        return about(why=why, fate="stop")
    revoke = ec2.revoke_security_group_egress if rule["IsEgress"] else ec2.revoke_security_group_ingress
    return about(
        why=f"it is of {owner} and names the group",
        fate="clear",
        clear=partial(revoke, GroupId=owner, SecurityGroupRuleIds=[identity]),
    )
