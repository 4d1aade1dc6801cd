"""A resource and what happens to it as a sentence: "a fleet `gpu` of 2 to 4 g5.xlarge nodes, spot"."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fleet.kinds import kind_of
from fleet.machine_prices import machine_group
from fleet.priced import Resource, counted, number
from stacks import naming

_NAMES = ("bucket", "name", "key", "function_name", "alarm_name", "display_name")
"""Arguments that hold the name by which a person knows a thing, the first that is there."""
_VERBS = {
    "create": "make",
    "update": "change",
    "delete": "destroy",
    "replace": "replace",
    "import": "take over",
    "forget": "let go of",
}
DATA_GOES = "ALL DATA IN IT IS LOST"


def describe(resource: Resource, resources: Sequence[Resource] = ()) -> str:
    """Return what a resource is, in words; `resources` are its stack's, for what it is made from."""
    if resource.kind == "aws_autoscaling_group":
        return str(machine_group(resource, resources))
    special = _SPECIAL.get(resource.kind)
    return (
        special(resource.values) if special else ""
    ) or f"the {kind_of(resource.kind).noun} {_name(resource)}"


def sentence(action: str, resource: Resource, resources: Sequence[Resource] = ()) -> str:
    """Return what a plan does with a resource, and what is lost with it."""
    text = f"{_VERBS.get(action, action)} {describe(resource, resources)}"
    if action == "replace":
        text += ": destroyed, and made anew"
    if loses_data(action, resource.kind):
        text += f" - {DATA_GOES}"
    return text


def loses_data(action: str, kind: str) -> bool:
    """Return whether data is lost for good when a plan does this."""
    return action in ("delete", "replace") and kind_of(kind).data


def _name(resource: Resource) -> str:
    named = (resource.values.get(each) for each in _NAMES)
    known = next((str(each) for each in named if isinstance(each, str) and each and "${" not in each), "")
    return f"`{known or resource.name}`"


def _network(values: Mapping[str, Any]) -> str:
    return f"the network {values['cidr_block']}" if values.get("cidr_block") else ""


def _subnet(values: Mapping[str, Any]) -> str:
    public = "public " if values.get("map_public_ip_on_launch") else ""
    return f"the {public}subnet {values['cidr_block']}" if values.get("cidr_block") else ""


def _endpoint(values: Mapping[str, Any]) -> str:
    service = str(values.get("service_name") or "").rpartition(".")[2]
    zones = values.get("subnet_ids")
    where = f" in {counted(len(zones), 'zone')}" if isinstance(zones, list) and zones else ""
    return f"the endpoint to {service}{where}" if service else ""


def _rule(values: Mapping[str, Any], way: str) -> str:
    protocol = str(values.get("ip_protocol") or "")
    if not protocol:
        return ""
    low, high = values.get("from_port"), values.get("to_port")
    ports = "" if protocol == "-1" else f" {low}" if low == high else f" {low}-{high}"
    what = "everything" if protocol == "-1" else f"{protocol}{ports}"
    ends = (values.get(each) for each in ("cidr_ipv4", "cidr_ipv6"))
    end = next((str(each) for each in ends if each), "")
    other = "a prefix list" if values.get("prefix_list_id") else "a security group"
    return f"the rule that lets {what} {way} {end or other}"


def _fsx(values: Mapping[str, Any]) -> str:
    kind = str(values.get("deployment_type") or "").partition("_")[0].lower()
    return f"the {kind} fast file system (FSx for Lustre) of {number(values.get('storage_capacity')):g} GiB"


def _log_group(values: Mapping[str, Any]) -> str:
    days, name = number(values.get("retention_in_days")), values.get("name")
    kept = f", kept {days:g} days" if days else ""
    return f"the log group `{name}`{kept}" if name else ""


def _schedule(values: Mapping[str, Any]) -> str:
    name, when = values.get("name"), values.get("schedule_expression")
    return f"the schedule `{name}`, {when}" if name and when else ""


def _reservation(values: Mapping[str, Any]) -> str:
    count, kind = number(values.get("instance_count")), values.get("instance_type")
    return f"a capacity reservation of {count:g} {kind}" if kind else ""


def _template(values: Mapping[str, Any]) -> str:
    tags = values.get("tag_specifications")
    first = tags[0].get("tags") if isinstance(tags, list) and tags else None
    fleet = (first or {}).get(naming.TAG_FLEET, "")
    kind = values.get("instance_type") or "several types"
    return f"the launch template of `{fleet}`'s nodes ({kind})" if fleet else ""


_SPECIAL: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "aws_cloudwatch_log_group": _log_group,
    "aws_ec2_capacity_reservation": _reservation,
    "aws_fsx_lustre_file_system": _fsx,
    "aws_launch_template": _template,
    "aws_scheduler_schedule": _schedule,
    "aws_subnet": _subnet,
    "aws_vpc": _network,
    "aws_vpc_endpoint": _endpoint,
    "aws_vpc_security_group_egress_rule": lambda values: _rule(values, "out to"),
    "aws_vpc_security_group_ingress_rule": lambda values: _rule(values, "in from"),
}
"""What is known by more than a name."""
