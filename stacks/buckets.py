"""A bucket as every stack makes it: versioned, encrypted, private, and reached through TLS alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stacks.aws.generated import kms, s3
from stacks.cdk import Stack
from stacks.policies import policy, statement

ABANDONED_UPLOAD_DAYS = 7
"""After so long, the parts of an upload that was never completed are deleted; nobody sees them, all pay."""
ARCHIVE_CLASS = "GLACIER_IR"
"""Read at once like any other, for little storage and a price by the gigabyte read."""
CHECKPOINT_TAG = {"fleetform": "checkpoint"}
"""What `node/store.py` tags a run's checkpoints with: a lifecycle rule knows prefixes and tags, and the
checkpoints of all runs have no prefix of their own."""


@dataclass(frozen=True, kw_only=True)
class Aging:
    """What becomes of a bucket's objects with time, in days."""

    old_version_days: int = 0
    """How long an overwritten or deleted object can be brought back; 0 for ever."""
    checkpoint_days: int = 0
    """After how long the checkpoints of runs are deleted; 0 keeps them."""
    object_days: int = 0
    """After how long every object is deleted; 0 keeps them."""
    archive_prefix: str = ""
    """Beginning of the keys that go to `ARCHIVE_CLASS` after `archive_days`; "" for none."""
    archive_days: int = 0


def private_bucket(
    stack: Stack,
    name: str,
    bucket: str,
    *,
    key: kms.KmsKey | None = None,
    object_lock: bool = False,
    force_destroy: bool = False,
    lasting: bool = False,
    aging: Aging | None = None,
    statements: Sequence[Mapping[str, Any]] = (),
    access_logs: str = "",
) -> s3.S3Bucket:
    """Add the bucket and everything that hardens it; `name` is its name in the stack.

    Objects are encrypted with the KMS key where one is given, else with S3's own; that key can go only after
    the bucket. `force_destroy` lets Terraform delete the bucket with what it holds; `lasting` makes Terraform
    refuse to delete it at all. Without `aging` nothing in it ever ages. `statements` go into its policy.
    `access_logs` is the bucket that every access to this one is recorded in, "" for none: S3 takes only one
    of the same region.
    """
    arguments: s3.S3BucketArguments = {
        "bucket": bucket,
        "force_destroy": force_destroy,
        "object_lock_enabled": object_lock,
        "lifecycle": {"prevent_destroy": lasting},
        # A bucket that cannot be deleted, for it holds objects, holds back the key that they are read with.
        "depends_on": [] if key is None else [key],
    }
    if aging is not None:
        # Deprecated, and used all the same: the provider's resource for it waits for 55 s at each bucket, on
        # every cloud, which is longer than all the rest of a base takes to come up. Both say the same to S3.
        arguments["lifecycle_rule"] = _lifecycle_rules(aging)
    made = s3.S3Bucket(stack, name, **arguments)
    s3.S3BucketVersioning(stack, name, bucket=made.id, versioning_configuration={"status": "Enabled"})
    _encryption(stack, name, made, key)
    _privacy(stack, name, made, statements)
    if access_logs:
        s3.S3BucketLogging(stack, name, bucket=made.id, target_bucket=access_logs, target_prefix=f"{bucket}/")
    return made


def _privacy(stack: Stack, name: str, bucket: s3.S3Bucket, statements: Sequence[Mapping[str, Any]]) -> None:
    """Close the bucket to the public and to plain HTTP; what else its policy says are the statements."""
    s3.S3BucketOwnershipControls(
        stack, name, bucket=bucket.id, rule={"object_ownership": "BucketOwnerEnforced"}
    )
    block = s3.S3BucketPublicAccessBlock(
        stack,
        name,
        bucket=bucket.id,
        block_public_acls=True,
        block_public_policy=True,
        ignore_public_acls=True,
        restrict_public_buckets=True,
    )
    # S3 refuses one of the two when both are set at the same moment.
    s3.S3BucketPolicy(
        stack, name, bucket=bucket.id, policy=policy(*statements, _tls_only(bucket)), depends_on=[block]
    )


def _lifecycle_rules(aging: Aging) -> list[s3.S3BucketLifecycleRule]:
    leftovers: s3.S3BucketLifecycleRule = {
        "id": "leftovers",
        "enabled": True,
        "abort_incomplete_multipart_upload_days": ABANDONED_UPLOAD_DAYS,
    }
    if aging.old_version_days:
        leftovers["noncurrent_version_expiration"] = {"days": aging.old_version_days}
        leftovers["expiration"] = {"expired_object_delete_marker": True}
    rules = [leftovers]
    if aging.archive_prefix:
        rules.append(
            {
                "id": "archive",
                "enabled": True,
                "prefix": aging.archive_prefix,
                "transition": [{"days": aging.archive_days, "storage_class": ARCHIVE_CLASS}],
            }
        )
    if aging.object_days:
        rules.append({"id": "objects", "enabled": True, "expiration": {"days": aging.object_days}})
    if aging.checkpoint_days:
        rules.append(
            {
                "id": "checkpoints",
                "enabled": True,
                "tags": CHECKPOINT_TAG,
                "expiration": {"days": aging.checkpoint_days},
            }
        )
    return rules


def _encryption(stack: Stack, name: str, bucket: s3.S3Bucket, key: kms.KmsKey | None) -> None:
    default: s3.S3BucketServerSideEncryptionConfigurationRuleApplyServerSideEncryptionByDefault
    default = {"sse_algorithm": "AES256"}
    if key is not None:
        default = {"sse_algorithm": "aws:kms", "kms_master_key_id": key.arn}
    s3.S3BucketServerSideEncryptionConfiguration(
        stack,
        name,
        bucket=bucket.id,
        # One data key for many objects: KMS is asked, and paid, once in a while instead of for each.
        rule=[
            {
                "apply_server_side_encryption_by_default": default,
                "bucket_key_enabled": key is not None,
            }
        ],
    )


def _tls_only(bucket: s3.S3Bucket) -> dict[str, Any]:
    return statement(
        "TlsOnly",
        effect="Deny",
        principal="*",
        actions=["s3:*"],
        resources=[bucket.arn, f"{bucket.arn}/*"],
        conditions={"Bool": {"aws:SecureTransport": "false"}},
    )
