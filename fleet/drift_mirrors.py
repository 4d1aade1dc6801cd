"""What a resource says of others: the rules of a group, the policies of a role, the settings of a bucket.

The provider reads these into the parent as well, where they are no drift of the parent's; but what is there
and belongs to no resource of ours was added by hand, and no apply takes it away.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from fleet.priced import Resource

MIRRORS: Final[dict[str, dict[str, tuple[str, str]]]] = {
    "aws_s3_bucket": {
        "acl": ("aws_s3_bucket_acl", "bucket"),
        "grant": ("aws_s3_bucket_acl", "bucket"),
        "cors_rule": ("aws_s3_bucket_cors_configuration", "bucket"),
        "lifecycle_rule": ("aws_s3_bucket_lifecycle_configuration", "bucket"),
        "logging": ("aws_s3_bucket_logging", "bucket"),
        "object_lock_configuration": ("aws_s3_bucket_object_lock_configuration", "bucket"),
        "policy": ("aws_s3_bucket_policy", "bucket"),
        "server_side_encryption_configuration": (
            "aws_s3_bucket_server_side_encryption_configuration",
            "bucket",
        ),
        "versioning": ("aws_s3_bucket_versioning", "bucket"),
    },
    "aws_iam_role": {
        "inline_policy": ("aws_iam_role_policy", "role"),
        "managed_policy_arns": ("aws_iam_role_policy_attachment", "role"),
    },
    "aws_security_group": {
        "ingress": ("aws_vpc_security_group_ingress_rule", "security_group_id"),
        "egress": ("aws_vpc_security_group_egress_rule", "security_group_id"),
    },
    "aws_route_table": {"route": ("aws_route", "route_table_id")},
    "aws_kms_key": {"policy": ("aws_kms_key_policy", "key_id")},
    "aws_sns_topic": {"policy": ("aws_sns_topic_policy", "arn")},
    "aws_sqs_queue": {"policy": ("aws_sqs_queue_policy", "queue_url")},
    "aws_vpc_endpoint": {"policy": ("aws_vpc_endpoint_policy", "vpc_endpoint_id")},
}
"""Type -> attribute -> the type that owns it, and its argument that names the parent."""
INFORMATION: Final[dict[str, frozenset[str]]] = {
    "aws_autoscaling_group": frozenset({"predicted_capacity", "warm_pool_size", "load_balancers"}),
    "aws_efs_file_system": frozenset({"size_in_bytes", "number_of_mount_targets"}),
    "aws_eip": frozenset({"association_id", "instance", "network_interface", "private_dns", "private_ip"}),
    "aws_fsx_lustre_file_system": frozenset({"network_interface_ids"}),
    "aws_iam_policy": frozenset({"attachment_count"}),
    "aws_lambda_function": frozenset({"last_modified", "version", "qualified_arn", "qualified_invoke_arn"}),
    "aws_nat_gateway": frozenset({"association_id", "network_interface_id"}),
    "aws_sns_topic_subscription": frozenset({"pending_confirmation", "confirmation_was_authenticated"}),
    "aws_ssm_document": frozenset({"latest_version", "default_version", "document_version"}),
    "aws_vpc_endpoint": frozenset({"network_interface_ids", "dns_entry", "subnet_configuration", "state"}),
}
"""What AWS tells of a thing in passing, and nobody declares: its change is no drift."""


@dataclass(frozen=True)
class Extra:
    """Something that is there and that no resource of ours has made."""

    parent: Resource
    attribute: str
    what: str
    """In words: "tcp 22 from 0.0.0.0/0"."""


def is_mirrored(parent: Resource, attribute: str, resources: Sequence[Resource]) -> bool:
    """Return whether an attribute's top level repeats what another resource of ours owns."""
    owner = MIRRORS.get(parent.kind, {}).get(attribute)
    if owner is None:
        return attribute in INFORMATION.get(parent.kind, ())
    return attribute in _ADDED or any(_owned(parent, *owner, resources))


def extras(
    resources: Sequence[Resource], declared: Sequence[Resource], owners: Sequence[Resource]
) -> Iterator[Extra]:
    """Yield what somebody added by hand to the groups, roles and route tables among the resources.

    `resources` are as they stand now, `declared` as synthesized: where a resource itself declares an
    attribute, Terraform compares it. `owners` are those of all stacks, for one may add to another's.
    """
    inline = {(each.address, name) for each in declared for name in each.values}
    for parent in resources:
        for attribute, find in _ADDED.items():
            owner = MIRRORS.get(parent.kind, {}).get(attribute)
            if owner is None or (parent.address, attribute) in inline:
                continue
            ours = list(_owned(parent, *owner, owners))
            for what in find(parent.values.get(attribute) or (), parent, ours):
                yield Extra(parent, attribute, what)


def _owned(
    parent: Resource, kind: str, argument: str, resources: Sequence[Resource]
) -> Iterator[Mapping[str, Any]]:
    """Yield the values of the resources of a type that name the parent."""
    values = parent.values
    names = {values.get(each) for each in ("id", "arn", "name", "bucket", "url", "key_id")} - {None}
    return (each.values for each in resources if each.kind == kind and each.values.get(argument) in names)


# ------------------------------------------------------------------------------ what was added


def _rules(found: Iterable[Any], parent: Resource, ours: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    known = {_rule(each, parent) for each in ours}
    for rule in found:
        ports = _ports(rule["protocol"], rule["from_port"], rule["to_port"])
        ends = [*rule["cidr_blocks"], *rule["ipv6_cidr_blocks"], *rule["prefix_list_ids"]]
        ends += [*rule["security_groups"], *(["itself"] if rule["self"] else [])]
        yield from (f"{ports} with {end}" for end in ends if (ports, end) not in known)


def _rule(values: Mapping[str, Any], parent: Resource) -> tuple[str, str]:
    """Return the ports and the other end of one of our own rules."""
    names = ("cidr_ipv4", "cidr_ipv6", "prefix_list_id", "referenced_security_group_id")
    end = next((str(values[name]) for name in names if values.get(name)), "")
    own = end == parent.values.get("id")
    ports = _ports(values["ip_protocol"], values.get("from_port"), values.get("to_port"))
    return ports, "itself" if own else end


def _ports(protocol: object, low: object, high: object) -> str:
    if str(protocol) in ("-1", "all"):
        return "everything"
    return f"{protocol} {low}" if low == high else f"{protocol} {low}-{high}"


def _policies(found: Iterable[Any], parent: Resource, ours: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    known = {each.get("name") for each in ours}
    yield from (f"the policy {each['name']}" for each in found if each["name"] not in known)


def _attached(found: Iterable[Any], parent: Resource, ours: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    known = {each.get("policy_arn") for each in ours}
    yield from (f"the policy {arn}" for arn in found if arn not in known)


def _routes(found: Iterable[Any], parent: Resource, ours: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    names = ("destination_cidr_block", "destination_ipv6_cidr_block", "destination_prefix_list_id")
    known = {str(each[name]) for each in ours for name in names if each.get(name)}
    for route in found:
        ends = (route.get(name) for name in ("cidr_block", "ipv6_cidr_block", "destination_prefix_list_id"))
        end = next((str(each) for each in ends if each), "")
        if end not in known:
            way = next((str(route[name]) for name in _WAYS if route.get(name)), "somewhere")
            yield f"the route to {end} through {way}"


_WAYS = (
    "gateway_id",
    "nat_gateway_id",
    "transit_gateway_id",
    "vpc_peering_connection_id",
    "network_interface_id",
)
_Find = Callable[[Iterable[Any], Resource, Sequence[Mapping[str, Any]]], Iterator[str]]
_ADDED: Final[dict[str, _Find]] = {
    "ingress": _rules,
    "egress": _rules,
    "inline_policy": _policies,
    "managed_policy_arns": _attached,
    "route": _routes,
}
"""Attributes to which things can be added by hand without touching what is declared."""
