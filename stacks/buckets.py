"""A bucket as every stack makes it: versioned, encrypted, private, and reached through TLS alone."""

from __future__ import annotations

from stacks.aws.generated import s3
from stacks.aws.layer import Lifecycle
from stacks.cdk import Stack
from stacks.policies import policy, statement


def private_bucket(
    stack: Stack,
    name: str,
    bucket: str,
    *,
    kms_key_arn: str | None = None,
    object_lock: bool = False,
    force_destroy: bool = False,
    lasting: bool = False,
) -> s3.S3Bucket:
    """Add the bucket and everything that hardens it; `name` is its name in the stack.

    Objects are encrypted with the KMS key where one is given, else with S3's own. `force_destroy` lets
    Terraform delete it with what it holds; `lasting` makes Terraform refuse to delete it at all.
    """
    lifecycle: Lifecycle = {"prevent_destroy": lasting}
    made = s3.S3Bucket(
        stack,
        name,
        bucket=bucket,
        force_destroy=force_destroy,
        object_lock_enabled=object_lock,
        lifecycle=lifecycle,
    )
    s3.S3BucketVersioning(stack, name, bucket=made.id, versioning_configuration={"status": "Enabled"})
    _encryption(stack, name, made, kms_key_arn)
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
    s3.S3BucketPolicy(stack, name, bucket=made.id, policy=_tls_only(made), depends_on=[block])
    return made


def _encryption(stack: Stack, name: str, bucket: s3.S3Bucket, kms_key_arn: str | None) -> None:
    default: s3.S3BucketServerSideEncryptionConfigurationRuleApplyServerSideEncryptionByDefault
    default = {"sse_algorithm": "AES256"}
    if kms_key_arn is not None:
        default = {"sse_algorithm": "aws:kms", "kms_master_key_id": kms_key_arn}
    s3.S3BucketServerSideEncryptionConfiguration(
        stack,
        name,
        bucket=bucket.id,
        # One data key for many objects: KMS is asked, and paid, once in a while instead of for each.
        rule=[
            {
                "apply_server_side_encryption_by_default": default,
                "bucket_key_enabled": kms_key_arn is not None,
            }
        ],
    )


def _tls_only(bucket: s3.S3Bucket) -> str:
    return policy(
        statement(
            "TlsOnly",
            effect="Deny",
            principal="*",
            actions=["s3:*"],
            resources=[bucket.arn, f"{bucket.arn}/*"],
            conditions={"Bool": {"aws:SecureTransport": "false"}},
        )
    )
