"""Ways in over the network: ports, addresses, balancers, joined networks, file systems."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from stacks.entry.facts import Facts, Thing, is_true, listed
from stacks.entry.verdict import Verdict, closed, opened

SSH, RDP = 22, 3389
_ADDRESSES = (
    "cidr_ipv4",
    "cidr_ipv6",
    "prefix_list_id",
    "cidr_blocks",
    "ipv6_cidr_blocks",
    "prefix_list_ids",
)
_JOINING = (
    "aws_customer_gateway",
    "aws_dx_",
    "aws_ec2_client_vpn",
    "aws_ec2_instance_connect_endpoint",
    "aws_ec2_transit_gateway",
    "aws_networkmanager",
    "aws_vpc_endpoint_service",
    "aws_vpc_peering",
    "aws_vpclattice",
    "aws_vpn_",
)
_BALANCERS = ("aws_alb", "aws_elb", "aws_lb", "aws_globalaccelerator")


@dataclass(frozen=True)
class Ingress:
    """One rule that lets something into a security group."""

    place: str
    rule: Mapping[str, Any]
    inside: bool
    """Whether it admits only what is in a security group of this environment."""

    def admits(self, port: int) -> bool:
        """Return whether the rule lets TCP in at that port."""
        protocol = str(self.rule.get("ip_protocol", self.rule.get("protocol", "-1")))
        if protocol not in ("-1", "all", "tcp", "6"):
            return False
        if protocol in ("-1", "all"):
            return True
        return int(self.rule.get("from_port", 0)) <= port <= int(self.rule.get("to_port", 65535))


def ingress(facts: Facts, group: str) -> Iterator[Ingress]:
    """Yield every rule of the security group at that address, whichever way it is written."""
    for thing in facts.things("aws_vpc_security_group_ingress_rule", "aws_security_group_rule"):
        if facts.target(thing.body.get("security_group_id")) != group or thing.body.get("type") == "egress":
            continue
        yield Ingress(thing.at(""), thing.body, _is_inside(facts, thing.body))
    for thing in facts.things("aws_security_group", "aws_default_security_group"):
        if thing.address == group:
            for rule in listed(thing.body.get("ingress")):
                yield Ingress(thing.at("ingress"), rule, _is_inside(facts, rule))


def _is_inside(facts: Facts, rule: Mapping[str, Any]) -> bool:
    if any(rule.get(name) for name in _ADDRESSES):
        return False
    sources = [rule.get("referenced_security_group_id"), rule.get("source_security_group_id")]
    sources += listed(rule.get("security_groups"))
    named = [facts.target(each) for each in sources if each]
    own = {each.address for each in facts.things("aws_security_group")}
    return all(each in own for each in named) and bool(named or is_true(rule.get("self")))


def port(facts: Facts, template: Thing, number: int) -> Verdict:
    """Return who reaches that TCP port of a kind of machine."""
    groups = facts.groups_of(template)
    if "" in groups:
        return opened("it has a security group that is not one of the environment's own", template.at(""))
    rules = [rule for group in sorted(groups) for rule in ingress(facts, group)]
    outside = [rule.place for rule in rules if not rule.inside and rule.admits(number)]
    if outside:
        return opened(f"port {number} is open to more than the environment's own machines", *outside)
    note = "only the environment's own machines reach it, and no key opens it"
    inside = any(rule.admits(number) for rule in rules)
    return closed(*(f"base: {group}" for group in sorted(groups)), note=note if inside else "")


def any_port(facts: Facts, template: Thing) -> Verdict:
    """Return whether anything but the environment's own groups is let in, at whatever port."""
    groups = facts.groups_of(template)
    outside = [rule.place for group in sorted(groups) for rule in ingress(facts, group) if not rule.inside]
    if outside or "" in groups:
        return opened("something from outside the environment is let in", *outside)
    flow_logs = facts.things("aws_flow_log")
    return Verdict(
        state="closed",
        by=tuple(f"base: {group}" for group in sorted(groups)),
        records=tuple(each.at("") for each in flow_logs),
    )


def public_address(facts: Facts, template: Thing) -> Verdict:
    """Return whether a machine gets an address of the internet's."""
    interfaces = listed(template.body.get("network_interfaces"))
    wrong = [
        name
        for each in interfaces
        for name in ("associate_public_ip_address", "associate_carrier_ip_address", "ipv6_address_count")
        if is_true(each.get(name)) or (name.startswith("ipv6") and each.get(name))
    ]
    if wrong:
        return opened(f"it gets a public address ({', '.join(sorted(set(wrong)))})", template.at(""))
    addresses = [
        each.at("")
        for each in facts.things("aws_eip", "aws_eip_association")
        if any(each.body.get(name) for name in ("instance", "network_interface", "network_interface_id"))
        or each.body.get("instance_id")
    ]
    subnets = facts.things("aws_subnet")
    addresses += [
        each.at("")
        for each in subnets
        if is_true(each.body.get("map_public_ip_on_launch"))
        or is_true(each.body.get("assign_ipv6_address_on_creation"))
    ]
    if addresses:
        return opened("something gives machines a public address", *addresses)
    if len(interfaces) == 1 and interfaces[0].get("associate_public_ip_address") in (False, "false"):
        return closed(template.at("network_interfaces[0].associate_public_ip_address"))
    if len(interfaces) > 1:
        # EC2 gives a machine that starts with several interfaces no public address of itself.
        return closed(template.at("network_interfaces"), note="a machine of several interfaces is given none")
    return opened("whether it gets a public address is left to its subnet", template.at("network_interfaces"))


def joined(facts: Facts) -> Verdict:
    """Return whether another network is joined to the environment's, or a tunnel ends in it."""
    found = [each.at("") for each in facts.things() if each.kind.startswith(_JOINING)]
    return opened("another network reaches into the environment's", *found) if found else closed()


def balanced(facts: Facts) -> Verdict:
    """Return whether something hands requests on to machines."""
    found = [each.at("") for each in facts.things() if each.kind.startswith(_BALANCERS)]
    for group in facts.things("aws_autoscaling_group"):
        found += [
            group.at(name)
            for name in ("load_balancers", "target_group_arns", "traffic_source")
            if group.body.get(name)
        ]
    return opened("a balancer hands requests on to machines", *found) if found else closed()


def file_systems(facts: Facts) -> Verdict:
    """Return who reaches the file systems that machines work on: NFS, Lustre."""
    wrong, good = [], []
    for thing in facts.things("aws_efs_mount_target", "aws_fsx_lustre_file_system"):
        attribute = "security_groups" if thing.kind == "aws_efs_mount_target" else "security_group_ids"
        groups = [facts.target(each) for each in listed(thing.body.get(attribute))]
        outside = [rule.place for group in groups for rule in ingress(facts, group) if not rule.inside]
        wrong += [*outside, *([] if groups and "" not in groups else [thing.at(attribute)])]
        good.append(thing.at(attribute))
    if wrong:
        return opened("a file system is reached from outside the environment", *wrong)
    return closed(*good, note="" if good else "there is none")
