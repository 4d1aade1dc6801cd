"""A bucket as every stack makes it: versioned, encrypted, private, and reached through TLS alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from stacks import naming
from stacks.aws.generated import kms, s3
from stacks.aws.layer import Lifecycle
from stacks.cdk import Stack
from stacks.policies import policy, statement


def private_bucket(
    stack: Stack,
    name: str,
    bucket: str,
    *,
    key: kms.KmsKey | None = None,
    object_lock: bool = False,
    force_destroy: bool = False,
    lasting: bool = False,
    statements: Sequence[Mapping[str, Any]] = (),
    access_logs: str = "",
) -> s3.S3Bucket:
    """Add the bucket and everything that hardens it; `name` is its name in the stack.

    Objects are encrypted with the KMS key where one is given, else with S3's own; that key can go only after
    the bucket. `force_destroy` lets Terraform delete the bucket with what it holds; `lasting` makes Terraform
    refuse to delete it at all. `statements` go into its policy. `access_logs` is the bucket that every access
    to this one is recorded in, "" for none: S3 takes only one of the same region.
    """
    lifecycle: Lifecycle = {"prevent_destroy": lasting}
    made = s3.S3Bucket(
        stack,
        name,
        bucket=bucket,
        force_destroy=force_destroy,
        object_lock_enabled=object_lock,
        lifecycle=lifecycle,
        # A bucket that cannot be deleted, for it holds objects, holds back the key that they are read with.
        depends_on=[] if key is None else [key],
    )
    s3.S3BucketVersioning(stack, name, bucket=made.id, versioning_configuration={"status": "Enabled"})
    _encryption(stack, name, made, key)
    block = s3.S3BucketPublicAccessBlock(
        stack,
        name,
        bucket=made.id,
        block_public_acls=True,
        block_public_policy=True,
        ignore_public_acls=True,
        restrict_public_buckets=True,
    )
    # S3 refuses one of the two when both are set at the same moment.
    s3.S3BucketPolicy(
        stack, name, bucket=made.id, policy=policy(_tls_only(made), *statements), depends_on=[block]
    )
    if access_logs:
        s3.S3BucketLogging(
            stack,
            name,
            bucket=made.id,
            target_bucket=access_logs,
            target_prefix=f"{naming.ACCESS_LOGS_PREFIX}{bucket}/",
        )
    return made


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
