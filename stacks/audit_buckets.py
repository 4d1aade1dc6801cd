"""The account's three buckets: Terraform's state, the locked record, and the log of accesses to both."""

from __future__ import annotations

from typing import Any

from stacks import naming
from stacks.account import AccountSpec
from stacks.account_parts import AccountParts
from stacks.aws.generated import s3
from stacks.buckets import Aging, private_bucket
from stacks.cdk import Stack
from stacks.environment import EnvironmentSpec
from stacks.ledger_key import reaper_role_arn
from stacks.place import Place
from stacks.policies import statement

AUDIT_BUCKET = "ledger"
"""What the locked bucket is called in the stack: it began as the ledger's."""
RETENTION_ACTIONS = ["s3:BypassGovernanceRetention", "s3:PutObjectLegalHold", "s3:PutObjectRetention"]
OLD_STATE_DAYS = 90
"""How long a state that was overwritten can be brought back."""
ARCHIVE_DAYS = 90
"""When the trail's files go to where storing costs a sixth and reading more; most are never read."""
_DELETIONS = ["s3:DeleteBucket", "s3:DeleteObject", "s3:DeleteObjectVersion"]


def access_logs_of(account: AccountSpec, spec: EnvironmentSpec) -> str:
    """Return the bucket that accesses to the environment's buckets are recorded in, "" in another region.

    S3 writes access logs only to a bucket of the same region.
    """
    if spec.region != account.region:
        return ""
    return naming.access_log_bucket(account.organization, account.region)


def add_audit_buckets(parts: AccountParts) -> None:
    """Add the three buckets; they exist already, made bare over the API, and are taken over here.

    They must be there before Terraform can run, before the first act is recorded, and before the first bucket
    of an environment, which is made beside this stack.
    """
    stack, account, place = parts.stack, parts.account, parts.place
    logs = naming.access_log_bucket(account.organization, account.region)
    state = naming.state_bucket(account.organization, account.region)
    log_bucket = private_bucket(
        stack,
        "logs",
        logs,
        lasting=True,
        aging=Aging(old_version_days=1, object_days=account.audit.log_days),
        statements=_access_log_statements(place, logs),
    )
    state_bucket = private_bucket(
        stack,
        "state",
        state,
        lasting=True,
        aging=Aging(old_version_days=OLD_STATE_DAYS),
        access_logs=log_bucket.id,
    )
    audit = private_bucket(
        stack,
        AUDIT_BUCKET,
        parts.audit_bucket,
        object_lock=True,
        lasting=True,
        aging=Aging(archive_prefix=naming.TRAIL_PREFIX, archive_days=ARCHIVE_DAYS),
        statements=[*_trail_statements(parts), *_record_statements(parts), _checkpoints_statement(parts)],
        access_logs=log_bucket.id,
    )
    _lock(stack, account, audit)
    for bucket, name in ((state_bucket, state), (audit, parts.audit_bucket), (log_bucket, logs)):
        stack.take_over(bucket.address, name)
    stack.output("state_bucket", state_bucket.bucket, "Bucket of every stack's Terraform state")
    stack.output("ledger_bucket", audit.bucket, "Write-once bucket of ledger, trail and transcripts")
    stack.output("access_log_bucket", log_bucket.bucket, "Bucket of the accesses to the other buckets")


def _lock(stack: Stack, account: AccountSpec, bucket: s3.S3Bucket) -> None:
    """Keep everything in the bucket from being changed or deleted, from the moment it is written."""
    s3.S3BucketObjectLockConfiguration(
        stack,
        AUDIT_BUCKET,
        bucket=bucket.id,
        rule={
            "default_retention": {
                "mode": account.ledger.retention_mode.upper(),
                "days": account.ledger.retention_days,
            }
        },
    )


def _access_log_statements(place: Place, bucket: str) -> list[dict[str, Any]]:
    """Return the policy by which S3 may write access logs, of this account's buckets alone.

    Not locked, as the record is: S3 delivers no access logs to a locked bucket.
    """
    objects = f"{place.bucket_arn(bucket)}/*"
    return [
        statement(
            "AccessLogs",
            principal={"Service": "logging.s3.amazonaws.com"},
            actions=["s3:PutObject"],
            resources=[objects],
            conditions={"StringEquals": {"aws:SourceAccount": place.account_id}},
        ),
        # What S3's own lifecycle expires does not ask this policy.
        statement("KeepLogs", effect="Deny", principal="*", actions=_DELETIONS[1:], resources=[objects]),
    ]


def _trail_statements(parts: AccountParts) -> list[dict[str, Any]]:
    """Return what lets our trail, and no other, write to its folder of the locked bucket."""
    place = parts.place
    bucket = place.bucket_arn(parts.audit_bucket)
    from_trail = {"aws:SourceArn": parts.trail_arn}
    cloudtrail = {"Service": "cloudtrail.amazonaws.com"}
    written = f"{bucket}/{naming.TRAIL_PREFIX}AWSLogs/{place.account_id}/*"
    return [
        statement(
            "TrailLooks",
            principal=cloudtrail,
            actions=["s3:GetBucketAcl"],
            resources=[bucket],
            conditions={"StringEquals": from_trail},
        ),
        statement(
            "TrailWrites",
            principal=cloudtrail,
            actions=["s3:PutObject"],
            resources=[written],
            conditions={"StringEquals": {**from_trail, "s3:x-amz-acl": "bucket-owner-full-control"}},
        ),
    ]


def _record_statements(parts: AccountParts) -> list[dict[str, Any]]:
    """Return the policy of the locked bucket: nobody deletes or overwrites, machines do not read.

    Within the account a permission of its own lets a machine write its transcripts, and a person the ledger.
    """
    place = parts.place
    bucket = place.bucket_arn(parts.audit_bucket)
    return [
        # The lock keeps every version; this keeps a delete marker from hiding one, too.
        statement(
            "KeepRecord",
            effect="Deny",
            principal="*",
            actions=[*_DELETIONS, *RETENTION_ACTIONS],
            resources=[bucket, f"{bucket}/*"],
        ),
        # Or a second version would stand in for an entry that everybody has read.
        statement(
            "EntriesOnce",
            effect="Deny",
            principal="*",
            actions=["s3:PutObject"],
            resources=[f"{bucket}/{prefix}*" for prefix in (naming.LEDGER_PREFIX, naming.CHECKPOINTS_PREFIX)],
            conditions={"Null": {"s3:if-none-match": "true"}},
        ),
        # Whoever is on a machine has its role, and shall not read what others typed.
        statement(
            "MachinesOnlyWrite",
            effect="Deny",
            principal="*",
            actions=["s3:GetObject", "s3:GetObjectVersion"],
            resources=[f"{bucket}/{naming.SESSIONS_PREFIX}*", f"{bucket}/{naming.TRAIL_PREFIX}*"],
            conditions={"Null": {"ec2:SourceInstanceARN": "false"}},
        ),
        # CloudTrail's service principal has no account of its own, and is left to the statements above.
        statement(
            "OwnAccountOnly",
            effect="Deny",
            principal="*",
            actions=["s3:PutObject"],
            resources=[f"{bucket}/*"],
            conditions={
                "StringNotEquals": {"aws:PrincipalAccount": place.account_id},
                "Bool": {"aws:PrincipalIsAWSService": "false"},
            },
        ),
    ]


def _checkpoints_statement(parts: AccountParts) -> dict[str, Any]:
    """Return what keeps everybody but the reaper, who signs them, from adding checkpoints."""
    return statement(
        "CheckpointsByReaper",
        effect="Deny",
        principal="*",
        actions=["s3:PutObject"],
        resources=[f"{parts.place.bucket_arn(parts.audit_bucket)}/{naming.CHECKPOINTS_PREFIX}*"],
        conditions={"ArnNotEquals": {"aws:PrincipalArn": reaper_role_arn(parts.account, parts.place)}},
    )
