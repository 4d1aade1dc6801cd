"""How bad it is that something was changed behind Terraform's back: one table over every resource type.

critical: a way in or out was opened, a guard was taken off, or the record was stopped: wake somebody. high:
something is gone, or protects less. medium: it works otherwise than declared. note: nobody is hurt.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, Literal

from stacks import naming

Rank = Literal["critical", "high", "medium", "note"]
RANKS: Final[tuple[Rank, ...]] = ("critical", "high", "medium", "note")
"""Worst first."""
_LETTERS: Final[dict[str, Rank]] = {"C": "critical", "H": "high", "M": "medium", "N": "note"}
_INDEX = re.compile(r"\.\d+(?=\.|$)")


@dataclass(frozen=True)
class TypeRank:
    """How bad a change of one resource type is."""

    deleted: Rank
    changed: Rank
    """A change of any attribute that has no rank of its own."""
    attributes: dict[str, Rank] = field(default_factory=dict)
    """Attribute -> its own rank; one of a nested block by its path without numbers."""


def _rows(text: str) -> dict[str, TypeRank]:
    """Read rows of `type deleted changed [attribute=rank ...]`."""
    found = {}
    for line in text.strip().splitlines():
        name, deleted, changed, *own = line.split()
        pairs = (each.split("=") for each in own)
        attributes = {key: _LETTERS[letter] for key, letter in pairs}
        found[f"aws_{name}"] = TypeRank(_LETTERS[deleted], _LETTERS[changed], attributes)
    return found


TYPE_RANKS: Final[dict[str, TypeRank]] = _rows(
    """
    vpc                                     H M
    vpc_ipv4_cidr_block_association         H M
    vpc_dhcp_options                        H H
    vpc_dhcp_options_association            H H
    subnet                                  H M map_public_ip_on_launch=C
    route                                   H C
    route_table                             H M route=C
    route_table_association                 H C
    internet_gateway                        H M
    nat_gateway                             H M
    eip                                     H M
    network_acl                             C C
    network_acl_rule                        C C
    default_network_acl                     C C
    default_route_table                     C C
    default_security_group                  C C
    security_group                          H M ingress=C egress=C
    security_group_rule                     H C
    vpc_security_group_ingress_rule         H C
    vpc_security_group_egress_rule          H C
    vpc_endpoint                            H M policy=C security_group_ids=H private_dns_enabled=H
    vpc_endpoint_policy                     C C
    vpc_endpoint_route_table_association    H M
    vpc_endpoint_subnet_association         H M
    vpc_endpoint_security_group_association H H
    ec2_managed_prefix_list                 H C
    network_interface                       H M security_groups=C
    flow_log                                H H

    s3_bucket                               H M policy=C grant=C acl=C object_lock_configuration=C
    s3_bucket_acl                           H C
    s3_bucket_cors_configuration            M H
    s3_bucket_lifecycle_configuration       M H
    s3_bucket_logging                       H H
    s3_bucket_notification                  M M
    s3_bucket_object_lock_configuration     C C
    s3_bucket_ownership_controls            H H
    s3_bucket_policy                        C C
    s3_bucket_public_access_block           C C
    s3_bucket_server_side_encryption_configuration H H
    s3_bucket_versioning                    H H
    s3_bucket_request_payment_configuration M M
    s3_account_public_access_block          C C
    s3_object                               H H
    kms_key                                 C H policy=C is_enabled=C
    kms_alias                               H H
    kms_grant                               H C
    kms_key_policy                          C C
    efs_file_system                         H M encrypted=H protection=H
    efs_access_point                        H H
    efs_backup_policy                       H H
    efs_file_system_policy                  C C
    efs_mount_target                        H M security_groups=C
    fsx_lustre_file_system                  H M security_group_ids=C
    fsx_data_repository_association         H M
    ebs_volume                              H M encrypted=H
    ebs_snapshot                            H M
    ebs_encryption_by_default               H H
    ebs_snapshot_block_public_access        C C
    backup_vault                            H M
    backup_plan                             H M
    backup_selection                        H M
    dynamodb_table                          H M server_side_encryption=H deletion_protection_enabled=H
    secretsmanager_secret                   H M policy=C
    secretsmanager_secret_version           H H
    secretsmanager_secret_policy            C C

    ami                                     H M
    autoscaling_group                       H M desired_capacity=N suspended_processes=M
    autoscaling_group_tag                   M M
    autoscaling_lifecycle_hook              H M
    autoscaling_notification                M M
    autoscaling_policy                      M M
    autoscaling_schedule                    M M
    ec2_capacity_block_reservation          H M
    ec2_capacity_reservation                H M
    ec2_instance_metadata_defaults          C C
    instance                                H M metadata_options=C iam_instance_profile=C \
vpc_security_group_ids=C
    key_pair                                M C
    launch_template                         H M metadata_options=C key_name=C user_data=H image_id=H \
iam_instance_profile=C network_interfaces.associate_public_ip_address=C network_interfaces.security_groups=C \
vpc_security_group_ids=C
    placement_group                         M M
    resourcegroups_group                    M M
    resourcegroups_resource                 M M

    iam_account_password_policy             C C
    iam_group                               H M
    iam_group_membership                    H C
    iam_group_policy                        H C
    iam_group_policy_attachment             H C
    iam_instance_profile                    H C
    iam_openid_connect_provider             H C
    iam_policy                              H C
    iam_policy_attachment                   H C
    iam_role                                H M assume_role_policy=C permissions_boundary=C inline_policy=C \
managed_policy_arns=C
    iam_role_policies_exclusive             C C
    iam_role_policy                         H C
    iam_role_policy_attachment              H C
    iam_role_policy_attachments_exclusive   C C
    iam_saml_provider                       H C
    iam_service_linked_role                 H M
    iam_user                                H M permissions_boundary=C
    iam_user_policy                         H C
    iam_user_policy_attachment              H C

    ec2_instance_connect_endpoint           M C
    ec2_serial_console_access               C C
    sqs_queue                               H M policy=C kms_master_key_id=H sqs_managed_sse_enabled=H
    sqs_queue_policy                        C C
    sqs_queue_redrive_policy                M M
    ssm_association                         H C
    ssm_document                            H C
    ssm_parameter                           H H
    ssm_service_setting                     C C
    ssm_resource_data_sync                  M M

    budgets_budget                          H M
    budgets_budget_action                   H H
    cloudwatch_event_permission             H C
    cloudwatch_event_rule                   H H
    cloudwatch_event_target                 H H
    lambda_alias                            H H
    lambda_function                         H H role=C
    lambda_function_event_invoke_config     M M
    lambda_permission                       H C
    scheduler_schedule                      H H
    scheduler_schedule_group                H M
    sns_topic                               H M policy=C kms_master_key_id=H
    sns_topic_policy                        C C
    sns_topic_subscription                  H H

    accessanalyzer_analyzer                 H M
    cloudtrail                              C C
    cloudtrail_event_data_store             C H
    cloudwatch_dashboard                    N N
    cloudwatch_log_group                    C M kms_key_id=H retention_in_days=H
    cloudwatch_log_metric_filter            H H
    cloudwatch_log_resource_policy          H C
    cloudwatch_log_stream                   H M
    cloudwatch_log_subscription_filter      H H
    cloudwatch_metric_alarm                 H H
    config_config_rule                      H M
    config_configuration_recorder           C C
    config_delivery_channel                 C H
    guardduty_detector                      C C
    """.replace("\n\n", "\n")
)
"""Every resource type of `fleet/kinds.py`; a test holds the two against each other."""
UNKNOWN_TYPE: Final = TypeRank("high", "high")
"""A type that nobody ranked: rather too loud."""
_NOTES: Final = ("tags", "tags_all", "tag", "description", "comment")
"""Attributes whose change hurts nobody, of any type."""
_GUARDING_TAGS: Final = (naming.TAG_TEAM, naming.TAG_ENVIRONMENT, naming.TAG_ROLE)
"""Tags that the roles' conditions read: with another value, other people may enter, stop or read it."""


def rank_of_deletion(kind: str) -> Rank:
    """Return how bad it is that a resource of this type is gone."""
    return TYPE_RANKS.get(kind, UNKNOWN_TYPE).deleted


def rank_of_attribute(kind: str, path: str) -> Rank:
    """Return how bad a change of one attribute is; `path` is as in `AttributeChange`."""
    bare = _INDEX.sub("", path)
    first = bare.split(".")[0]
    if first in _NOTES:
        guards = first in ("tags", "tags_all") and bare.partition(".")[2] in _GUARDING_TAGS
        return "high" if guards else "note"
    table = TYPE_RANKS.get(kind, UNKNOWN_TYPE)
    own = (rank for name, rank in table.attributes.items() if bare == name or bare.startswith(f"{name}."))
    return next(own, table.changed)


def worst(ranks: Iterable[Rank]) -> Rank:
    """Return the worst of some ranks; `note` of none."""
    return min((*ranks, RANKS[-1]), key=RANKS.index)
