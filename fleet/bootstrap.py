"""What must exist before anything else: buckets of state, ledger and their accesses, and policies.

They are made bare over the API; the account stack takes them over with import blocks and configures them.
"""

from __future__ import annotations

import datetime
import json
from typing import Any

from fleet import aws
from fleet.account_policies import ensure_policies, missing_policies
from fleet.cloud import Cloud
from stacks import naming
from stacks.account import AccountSpec
from stacks.problems import UserError


def account_buckets(account: AccountSpec) -> tuple[str, str]:
    """Return the names of the state bucket and the ledger bucket."""
    return (
        naming.state_bucket(account.organization, account.region),
        naming.ledger_bucket(account.organization, account.region),
    )


def account_exists(cloud: Cloud, account: AccountSpec) -> bool:
    """Return whether both buckets are there and ours. Raises UserError where one belongs to somebody else."""
    s3 = aws.client(cloud, "s3", account.region)
    return all(_bucket_exists(s3, bucket) for bucket in account_buckets(account))


def ensure_account(cloud: Cloud, account: AccountSpec) -> list[str]:
    """Make the buckets and policies that are missing and return their names; none where all is in place.

    The ledger's bucket gets Object Lock, which S3 can switch on only at creation, and its retention at
    once, so that the very first entry is locked. Raises UserError where a bucket of that name belongs to
    another account.
    """
    s3 = aws.client(cloud, "s3", account.region)
    state, ledger = account_buckets(account)
    logs = naming.access_log_bucket(account.organization, account.region)
    missing = [bucket for bucket in (state, ledger, logs) if not _bucket_exists(s3, bucket)]
    for bucket in missing:
        arguments: dict[str, Any] = {"Bucket": bucket}
        if account.region != "us-east-1":  # the one region that must not be named
            arguments["CreateBucketConfiguration"] = {"LocationConstraint": account.region}
        if bucket == ledger:
            arguments["ObjectLockEnabledForBucket"] = True
        try:
            s3.create_bucket(**arguments)
        except Exception as error:
            if aws.error_code(error) == "BucketAlreadyExists":
                raise _somebody_elses(bucket) from error
            if aws.error_code(error) != "BucketAlreadyOwnedByYou":  # another command was faster
                raise
    if ledger in missing or not _has_retention(s3, ledger):
        retention = {"Mode": account.ledger.retention_mode.upper(), "Days": account.ledger.retention_days}
        s3.put_object_lock_configuration(
            Bucket=ledger,
            ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": retention}},
        )
    if logs in missing or not _takes_logs(s3, logs):
        s3.put_bucket_policy(Bucket=logs, Policy=_access_log_policy(cloud, account, logs))
    return [*missing, *ensure_policies(cloud, account)]


def missing_takeovers(cloud: Cloud, account: AccountSpec) -> tuple[str, ...]:
    """Return the addresses in the account's stack of what it takes over and `ensure_account` has yet to make.

    Of an account that stands from before such a thing was part of it.
    """
    logs = naming.access_log_bucket(account.organization, account.region)
    there = _bucket_exists(aws.client(cloud, "s3", account.region), logs)
    return (*(() if there else ("aws_s3_bucket.logs",)), *missing_policies(cloud, account))


def _takes_logs(s3: Any, bucket: str) -> bool:
    """Return whether the bucket has a policy; not so where a bootstrap was killed before it gave it one."""
    try:
        s3.get_bucket_policy(Bucket=bucket)
    except Exception as error:
        if aws.error_code(error) == "NoSuchBucketPolicy":
            return False
        raise
    return True


def _access_log_policy(cloud: Cloud, account: AccountSpec, bucket: str) -> str:
    """Return the policy without which S3 refuses to log to the bucket; the account's stack replaces it."""
    partition, number = aws.caller_account(aws.client(cloud, "sts", account.region))
    statement = {
        "Sid": "AccessLogs",
        "Effect": "Allow",
        "Principal": {"Service": "logging.s3.amazonaws.com"},
        "Action": "s3:PutObject",
        "Resource": f"arn:{partition}:s3:::{bucket}/*",
        "Condition": {"StringEquals": {"aws:SourceAccount": number}},
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def _has_retention(s3: Any, bucket: str) -> bool:
    """Return whether new objects are locked; not so where a bootstrap was killed before it said so."""
    answer = s3.get_object_lock_configuration(Bucket=bucket)
    return "Rule" in answer["ObjectLockConfiguration"]


def read_state_object(cloud: Cloud, account: AccountSpec, stack: str) -> str:
    """Return the stack's state, "" where it has none; it may hold secrets, so keep little of it."""
    s3 = aws.client(cloud, "s3", account.region)
    try:
        answer = s3.get_object(Bucket=account_buckets(account)[0], Key=naming.state_key(stack))
    except Exception as error:
        if aws.error_code(error) in ("NoSuchKey", "NoSuchBucket"):
            return ""
        raise
    return bytes(answer["Body"].read()).decode("utf-8")


def state_written(cloud: Cloud, account: AccountSpec, stack: str) -> datetime.datetime | None:
    """Return when Terraform last wrote the stack's state, by the cloud's clock; None where it has none."""
    s3 = aws.client(cloud, "s3", account.region)
    try:
        answer = s3.head_object(Bucket=account_buckets(account)[0], Key=naming.state_key(stack))
    except Exception as error:
        if aws.error_code(error) in ("404", "NoSuchKey", "NoSuchBucket"):
            return None
        raise
    written: datetime.datetime = answer["LastModified"]
    return written


def bucket_birth(cloud: Cloud, account: AccountSpec, bucket: str) -> str:
    """Return when one of our buckets was made (ISO 8601), "" where there is none of that name."""
    for each in aws.client(cloud, "s3", account.region).list_buckets()["Buckets"]:
        if each["Name"] == bucket:
            return str(each["CreationDate"].isoformat())
    return ""


def _bucket_exists(s3: Any, bucket: str) -> bool:
    try:
        s3.head_bucket(Bucket=bucket)
    except Exception as error:
        code = aws.error_code(error)
        if code in ("404", "NoSuchBucket"):
            return False
        if code in ("403", "AccessDenied"):
            raise _somebody_elses(bucket) from error
        raise
    return True


def _somebody_elses(bucket: str) -> UserError:
    return UserError.of(
        f"the bucket {bucket} belongs to another account, or you may not look at it",
        "bucket names are unique in the whole world: choose another `organization`; if it is your company's, "
        "ask for s3:ListBucket on it",
        file="environments/account.toml",
        path="organization",
    )
