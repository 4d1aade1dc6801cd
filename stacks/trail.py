"""The account's trail: AWS's own record of every call, in the locked bucket and where alarms look at it."""

from __future__ import annotations

from stacks import naming
from stacks.account_parts import AccountParts
from stacks.audit_buckets import AUDIT_BUCKET
from stacks.aws.generated import cloudtrail, iam, logs
from stacks.aws.layer import Ref
from stacks.policies import policy, statement


def add_trail(parts: AccountParts) -> Ref | None:
    """Add the trail and return the name of its log group; None where the account's file wants no trail."""
    # With the trail or without: what it wrote stays, and Terraform refuses to delete it, when the trail goes.
    group = add_log_group(parts, naming.TRAIL)
    if not parts.account.audit.trail:
        return None
    role, permissions = _delivery_role(parts, group)
    cloudtrail.Cloudtrail(
        parts.stack,
        "main",
        name=parts.named(naming.TRAIL),
        # By way of the bucket's policy, without which CloudTrail refuses the bucket.
        s3_bucket_name=f"${{aws_s3_bucket_policy.{AUDIT_BUCKET}.bucket}}",
        s3_key_prefix=naming.TRAIL_PREFIX.rstrip("/"),
        kms_key_id=parts.key.arn,
        is_multi_region_trail=True,
        include_global_service_events=True,
        enable_log_file_validation=True,
        enable_logging=True,
        cloud_watch_logs_group_arn=f"{group.arn}:*",
        cloud_watch_logs_role_arn=role.arn,
        advanced_event_selector=_selectors(parts),
        lifecycle={"prevent_destroy": True},
        depends_on=[permissions],
    )
    return group.name


def add_log_group(parts: AccountParts, name: str) -> logs.CloudwatchLogGroup:
    """Add one of the account's log groups, encrypted; Terraform refuses to delete it."""
    return logs.CloudwatchLogGroup(
        parts.stack,
        name,
        name=naming.account_log_group(parts.account.organization, name),
        kms_key_id=parts.key.arn,
        retention_in_days=parts.account.audit.log_days,
        lifecycle={"prevent_destroy": True},
    )


def _selectors(parts: AccountParts) -> list[cloudtrail.CloudtrailAdvancedEventSelector]:
    """Return what is recorded beside every management event: where asked for, objects of our buckets.

    Left out is what AWS itself delivers, which would record its own writing for ever; who reads that is in
    the access logs.
    """
    if not parts.account.audit.data_events:
        return []
    organization, region = parts.account.organization, parts.account.region
    delivered = [
        f"{parts.place.bucket_arn(parts.audit_bucket)}/{naming.TRAIL_PREFIX}",
        f"{parts.place.bucket_arn(naming.access_log_bucket(organization, region))}/",
    ]
    ours: cloudtrail.CloudtrailAdvancedEventSelectorFieldSelector = {
        "field": "resources.ARN",
        # Every bucket of fleetform's begins with the organization's name.
        "starts_with": [parts.place.bucket_arn(f"{organization}-")],
        "not_starts_with": delivered,
    }
    return [
        {"name": "Every call", "field_selector": [{"field": "eventCategory", "equals": ["Management"]}]},
        {
            "name": "Objects of fleetform's buckets",
            "field_selector": [
                {"field": "eventCategory", "equals": ["Data"]},
                {"field": "resources.type", "equals": ["AWS::S3::Object"]},
                ours,
            ],
        },
    ]


def _delivery_role(
    parts: AccountParts, group: logs.CloudwatchLogGroup
) -> tuple[iam.IamRole, iam.IamRolePolicy]:
    """Add the role by which this trail writes to its log group."""
    name = f"{parts.named(naming.TRAIL)}-{parts.place.region}"
    # Without `aws:SourceArn`, which is not supported here (CloudTrail's user guide, "Role policy document for
    # CloudTrail to use CloudWatch Logs for monitoring").
    trust = statement("Trail", principal={"Service": "cloudtrail.amazonaws.com"}, actions=["sts:AssumeRole"])
    role = iam.IamRole(
        parts.stack,
        "trail",
        name=name,
        description="The trail writes to its log group",
        assume_role_policy=policy(trust),
    )
    write = statement(
        "Write",
        actions=["logs:CreateLogStream", "logs:PutLogEvents"],
        resources=[f"{group.arn}:log-stream:*"],
    )
    return role, iam.IamRolePolicy(parts.stack, "trail", name="fleetform", role=role.id, policy=policy(write))
