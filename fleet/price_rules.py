"""How each resource type is priced: by a rule, by use alone, or not at all because it costs nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from fleet.kinds import kind_of
from fleet.machine_prices import ON_DEMAND
from fleet.priced import Item, Resource, block, counted, find_price, number, source_of
from stacks.catalog import load_catalog

Rule = Callable[[Resource], Iterator[Item]]


def by_use_item(resource: Resource, names: tuple[str, ...]) -> Item:
    """Return the item of what costs by use alone, at the prices of these names."""
    prices = [find_price(name) for name in names]
    texts = [f"{each.usd:g} USD a {each.of}{' a month' if each.per == 'month' else ''}" for each in prices]
    return Item(
        address=resource.address,
        room=kind_of(resource.kind).room,
        what=_called(resource),
        usd_per_hour_running=None,
        usd_per_hour_idle=None,
        usd_per_hour_at_most=None,
        basis="by use: " + ", ".join(texts),
        **source_of(prices[0]),
    )


def _called(resource: Resource) -> str:
    return f"{kind_of(resource.kind).noun} `{resource.name}`"


def _endpoint(resource: Resource) -> Iterator[Item]:
    """An interface endpoint costs by the zone; a gateway endpoint, which is the default, costs nothing."""
    kind = resource.values.get("vpc_endpoint_type") or "Gateway"
    subnets = resource.values.get("subnet_ids")
    if kind == "Interface":
        zones = len(subnets) if isinstance(subnets, list) else 1
        what = f"{_called(resource)} in {counted(zones, 'zone')}"
        yield Item.standing(resource, what, "interface_endpoint", zones)
        yield by_use_item(resource, ("interface_endpoint_data",))
    elif kind != "Gateway":
        yield Item.unpriced(resource, f"the catalog has no price for an endpoint of type {kind}")


def _nat_gateway(resource: Resource) -> Iterator[Item]:
    yield Item.standing(resource, _called(resource), "nat_gateway")
    yield by_use_item(resource, ("nat_gateway_data",))


def _kms_key(resource: Resource) -> Iterator[Item]:
    yield Item.standing(resource, _called(resource), "kms_key")


def _budget_action(resource: Resource) -> Iterator[Item]:
    """A budget that only mails costs nothing; one that acts does, beyond the first two of an account."""
    basis = "0.10 USD a day; the first two of an account are free"
    yield Item.standing(resource, _called(resource), "budget_with_actions", basis=basis)


def _address(resource: Resource) -> Iterator[Item]:
    yield Item.standing(resource, _called(resource), "public_ipv4")


def _secret(resource: Resource) -> Iterator[Item]:
    yield Item.standing(resource, _called(resource), "secret")


def _alarm(resource: Resource) -> Iterator[Item]:
    yield Item.standing(resource, _called(resource), "metric_alarm")


def _dashboard(resource: Resource) -> Iterator[Item]:
    yield Item.standing(resource, _called(resource), "dashboard")


def _parameter(resource: Resource) -> Iterator[Item]:
    if resource.values.get("tier") == "Advanced":
        yield Item.standing(resource, _called(resource), "advanced_parameter")


def _instance(resource: Resource) -> Iterator[Item]:
    known = load_catalog().get(str(resource.values.get("instance_type")))
    if known is None:
        yield Item.unpriced(resource, f"the catalog has no type {resource.values.get('instance_type')}")
        return
    yield _at_hourly(resource, _called(resource), known.name, 1)


def _reservation(resource: Resource) -> Iterator[Item]:
    """A capacity reservation costs what its instances would, whether any runs in it or not."""
    kind, count = str(resource.values.get("instance_type")), number(resource.values.get("instance_count"), 1)
    if kind not in load_catalog():
        yield Item.unpriced(resource, f"the catalog has no type {kind}")
        return
    yield _at_hourly(resource, f"capacity reservation of {count:g} {kind}", kind, count)


def _at_hourly(resource: Resource, what: str, kind: str, count: float) -> Item:
    known = load_catalog()[kind]
    hourly = known.price_usd_per_hour * count
    return Item(
        address=resource.address, room=kind_of(resource.kind).room, what=what,
        usd_per_hour_running=hourly, usd_per_hour_idle=hourly, usd_per_hour_at_most=hourly, basis=ON_DEMAND,
        unit_usd=known.price_usd_per_hour, per="hour", of=known.name, region=known.price_region,
        date=known.price_date.isoformat(), source=known.price_source,
    )  # fmt: skip


def _fsx_lustre(resource: Resource) -> Iterator[Item]:
    """FSx for Lustre costs by its size, at a price that its kind, disks and throughput decide."""
    values = resource.values
    size, kind = number(values.get("storage_capacity")), str(values.get("deployment_type") or "SCRATCH_1")
    disks, speed = str(values.get("storage_type") or "SSD"), values.get("per_unit_storage_throughput")
    if kind.startswith("SCRATCH"):
        price = "fsx_lustre_scratch"
    else:
        price = f"fsx_lustre_{kind.lower()}_{disks.lower()}_{number(speed):g}"
    try:
        find_price(price)
    except KeyError:
        yield Item.unpriced(
            resource, f"the catalog has no price for FSx {kind} on {disks} at {speed} MB/s/TiB"
        )
        return
    words = f"{kind.replace('_', ' ').lower()}" + (f", {number(speed):g} MB/s/TiB" if speed else "")
    yield Item.standing(resource, f"{size:g} GiB fast file system (FSx for Lustre, {words})", price, size)
    if block(values, "metadata_configuration").get("mode") == "USER_PROVISIONED":
        yield Item.unpriced(resource, "the catalog has no price for provisioned metadata operations")
    if number(values.get("automatic_backup_retention_days")):
        yield by_use_item(resource, ("fsx_backup",))


def _efs(resource: Resource) -> Iterator[Item]:
    """EFS costs by what lies on it, and by throughput where that was bought."""
    one_zone = bool(resource.values.get("availability_zone_name"))
    elastic = resource.values.get("throughput_mode") == "elastic"
    names = ("efs_one_zone",) if one_zone else ("efs_standard",)
    yield by_use_item(resource, (*names, *(("efs_elastic_read", "efs_elastic_write") if elastic else ())))
    bought = number(resource.values.get("provisioned_throughput_in_mibps"))
    if bought:
        what = f"{bought:g} MiB/s of throughput, provisioned"
        yield Item.standing(resource, what, "efs_provisioned_throughput", bought)


def _disk(resource: Resource) -> Iterator[Item]:
    kind, size = str(resource.values.get("type") or "gp2"), number(resource.values.get("size"))
    if kind != "gp3" or not size:
        yield Item.unpriced(resource, f"the catalog has no price for a disk of type {kind}")
        return
    yield Item.standing(resource, f"{size:g} GiB disk", "ebs_gp3", size)


def _trail(resource: Resource) -> Iterator[Item]:
    """The first copy of management events is free; records of reads and writes of data are not."""
    if resource.values.get("event_selector") or resource.values.get("advanced_event_selector"):
        yield by_use_item(resource, ("trail_data_events",))


def _flow_log(resource: Resource) -> Iterator[Item]:
    s3 = resource.values.get("log_destination_type") == "s3"
    yield by_use_item(resource, ("vended_logs_to_s3",) if s3 else ("vended_logs",))


RULES: Final[dict[str, Rule]] = {
    "aws_budgets_budget_action": _budget_action,
    "aws_cloudtrail": _trail,
    "aws_cloudwatch_dashboard": _dashboard,
    "aws_cloudwatch_metric_alarm": _alarm,
    "aws_ebs_volume": _disk,
    "aws_ec2_capacity_reservation": _reservation,
    "aws_efs_file_system": _efs,
    "aws_eip": _address,
    "aws_flow_log": _flow_log,
    "aws_fsx_lustre_file_system": _fsx_lustre,
    "aws_instance": _instance,
    "aws_kms_key": _kms_key,
    "aws_nat_gateway": _nat_gateway,
    "aws_secretsmanager_secret": _secret,
    "aws_ssm_parameter": _parameter,
    "aws_vpc_endpoint": _endpoint,
}
"""What has a rule of its own; groups of machines are `fleet/machine_prices.py`."""
BY_USE: Final[dict[str, tuple[str, ...]]] = {
    "aws_backup_vault": ("backup_efs",),
    "aws_cloudwatch_log_group": ("log_ingestion", "log_storage"),
    "aws_dynamodb_table": ("dynamodb_writes", "dynamodb_storage"),
    "aws_ebs_snapshot": ("ebs_snapshot",),
    "aws_ami": ("ebs_snapshot",),
    "aws_lambda_function": ("lambda_requests", "lambda_gb_seconds"),
    "aws_s3_bucket": ("s3_standard",),
    "aws_scheduler_schedule": ("scheduler_invocations",),
    "aws_sns_topic_subscription": ("sns_mails",),
    "aws_sqs_queue": ("sqs_requests",),
}
"""What costs by use alone -> the names of its prices."""
_FREE = """
accessanalyzer_analyzer autoscaling_group autoscaling_group_tag autoscaling_lifecycle_hook
autoscaling_notification autoscaling_policy autoscaling_schedule backup_plan backup_selection budgets_budget
cloudwatch_event_permission cloudwatch_event_rule cloudwatch_event_target cloudwatch_log_metric_filter
cloudwatch_log_resource_policy cloudwatch_log_stream default_network_acl default_route_table
default_security_group ebs_encryption_by_default ebs_snapshot_block_public_access
ec2_instance_connect_endpoint ec2_instance_metadata_defaults ec2_managed_prefix_list
ec2_serial_console_access efs_access_point efs_backup_policy efs_file_system_policy efs_mount_target
fsx_data_repository_association iam_account_password_policy iam_group iam_group_membership
iam_group_policy iam_group_policy_attachment iam_instance_profile iam_openid_connect_provider iam_policy
iam_policy_attachment iam_role iam_role_policies_exclusive iam_role_policy iam_role_policy_attachment
iam_role_policy_attachments_exclusive iam_saml_provider iam_service_linked_role iam_user iam_user_policy
iam_user_policy_attachment internet_gateway key_pair kms_alias kms_grant kms_key_policy lambda_alias
lambda_function_event_invoke_config lambda_permission launch_template network_acl network_acl_rule
network_interface placement_group resourcegroups_group resourcegroups_resource route route_table
route_table_association s3_account_public_access_block s3_bucket_acl s3_bucket_cors_configuration
s3_bucket_lifecycle_configuration s3_bucket_logging s3_bucket_notification
s3_bucket_object_lock_configuration s3_bucket_ownership_controls s3_bucket_policy
s3_bucket_public_access_block s3_bucket_request_payment_configuration
s3_bucket_server_side_encryption_configuration s3_bucket_versioning s3_object scheduler_schedule_group
secretsmanager_secret_policy secretsmanager_secret_version security_group security_group_rule sns_topic
sns_topic_policy sqs_queue_policy sqs_queue_redrive_policy ssm_association ssm_document
ssm_resource_data_sync ssm_service_setting subnet vpc vpc_dhcp_options vpc_dhcp_options_association
vpc_endpoint_policy vpc_endpoint_route_table_association vpc_endpoint_security_group_association
vpc_endpoint_subnet_association vpc_ipv4_cidr_block_association vpc_security_group_egress_rule
vpc_security_group_ingress_rule
"""
FREE: Final = frozenset(f"aws_{name}" for name in _FREE.split())
"""What costs nothing by itself: what stands behind it is priced there."""
