"""What the deployer may do to buckets, keys, file systems and log groups of environments."""

from __future__ import annotations

from typing import Any

from stacks import naming
from stacks.account import AccountSpec
from stacks.cluster_permissions import CLUSTER
from stacks.deployer_network import NEW, OURS, anywhere
from stacks.place import Place
from stacks.policies import statement

_BUCKETS = (
    "s3:CreateBucket",
    "s3:DeleteBucket",
    "s3:DeleteBucketPolicy",
    "s3:GetAccelerateConfiguration",
    "s3:GetBucket*",
    "s3:GetEncryptionConfiguration",
    "s3:GetLifecycleConfiguration",
    "s3:GetReplicationConfiguration",
    "s3:ListBucket*",
    "s3:ListTagsForResource",
    "s3:PutBucketLogging",
    "s3:PutBucketOwnershipControls",
    "s3:PutBucketPolicy",
    "s3:PutBucketPublicAccessBlock",
    "s3:PutBucketTagging",
    "s3:PutBucketVersioning",
    "s3:PutEncryptionConfiguration",
    "s3:PutLifecycleConfiguration",
)
_KEYS = (
    "kms:CreateAlias",
    "kms:DeleteAlias",
    "kms:DescribeKey",
    "kms:EnableKeyRotation",
    "kms:GetKeyPolicy",
    "kms:GetKeyRotationStatus",
    "kms:ListResourceTags",
    "kms:PutKeyPolicy",
    "kms:ScheduleKeyDeletion",
    "kms:TagResource",
    "kms:UntagResource",
    "kms:UpdateKeyDescription",
)
_SHARED = (
    "elasticfilesystem:CreateAccessPoint",
    "elasticfilesystem:CreateMountTarget",
    "elasticfilesystem:DeleteAccessPoint",
    "elasticfilesystem:DeleteFileSystem",
    "elasticfilesystem:DeleteFileSystemPolicy",
    "elasticfilesystem:DeleteMountTarget",
    "elasticfilesystem:ModifyMountTargetSecurityGroups",
    "elasticfilesystem:PutBackupPolicy",
    "elasticfilesystem:PutFileSystemPolicy",
    "elasticfilesystem:PutLifecycleConfiguration",
    "elasticfilesystem:TagResource",
    "elasticfilesystem:UntagResource",
    "elasticfilesystem:UpdateFileSystem",
)
_LUSTRE = (
    "fsx:CancelDataRepositoryTask",
    "fsx:CreateDataRepositoryAssociation",
    "fsx:CreateDataRepositoryTask",
    "fsx:DeleteDataRepositoryAssociation",
    "fsx:DeleteFileSystem",
    "fsx:ListTagsForResource",
    "fsx:TagResource",
    "fsx:UntagResource",
    "fsx:UpdateDataRepositoryAssociation",
    "fsx:UpdateFileSystem",
)
_MAKE_LUSTRE = (
    "fsx:CreateDataRepositoryAssociation",
    "fsx:CreateDataRepositoryTask",
    "fsx:CreateFileSystem",
    "fsx:TagResource",
)


def bucket_statements(account: AccountSpec, place: Place) -> list[dict[str, Any]]:
    """Return the rights to the environments' buckets, by their names.

    It deletes what they hold where a file says so, and reads of runs how they stand, not what they made.
    """
    artifacts, datasets = (
        place.bucket_arn(f"{account.organization}-*-{kind}-*") for kind in ("artifacts", "datasets")
    )
    return [
        statement(
            "Buckets",
            actions=_BUCKETS,
            resources=[artifacts, datasets],
        ),
        statement(
            "Node",
            actions=["s3:GetObject*", "s3:PutObject", "s3:PutObjectTagging"],
            resources=[f"{artifacts}/{folder}/*" for folder in ("node", CLUSTER)],
        ),
        statement(
            "Runs",
            actions=["s3:GetObject"],
            resources=[f"{artifacts}/nodes/*", f"{artifacts}/runs/*.json", f"{artifacts}/runs/*.jsonl"],
        ),
        statement(
            "Empty",
            actions=["s3:AbortMultipartUpload", "s3:DeleteObject", "s3:DeleteObjectVersion"],
            resources=[f"{artifacts}/*", f"{datasets}/*"],
        ),
    ]


def key_statements(place: Place) -> list[dict[str, Any]]:
    """Return the rights to the environments' keys: to manage them, to use them by way of other services."""
    keys = anywhere(place, "kms", "key/*")
    return [
        # A key has no name before it is made.
        statement("MakeKeys", actions=["kms:CreateKey"], resources=["*"], conditions=NEW),
        statement(
            "Keys",
            actions=_KEYS,
            resources=keys,
            conditions=OURS,
        ),
        statement("TagKeys", actions=["kms:TagResource"], resources=keys, conditions=NEW),
        statement(
            "Aliases",
            actions=["kms:CreateAlias", "kms:DeleteAlias"],
            resources=anywhere(place, "kms", "alias/*"),
        ),
        statement(
            "UseByServices",
            actions=["kms:Decrypt", "kms:GenerateDataKey", "kms:GenerateDataKeyWithoutPlaintext"],
            resources=keys,
            conditions={
                **OURS,
                "StringLike": {
                    "kms:ViaService": [f"{each}.*.amazonaws.com" for each in ("ec2", "s3", "secretsmanager")]
                },
            },
        ),
        # For file systems, whose services use the key on from there.
        statement(
            "HandToServices",
            actions=["kms:CreateGrant"],
            resources=keys,
            conditions={**OURS, "Bool": {"kms:GrantIsForAWSResource": "true"}},
        ),
    ]


def file_system_statements(place: Place) -> list[dict[str, Any]]:
    """Return the rights to file systems, and to the interfaces that EFS makes in the caller's name."""
    lustre = anywhere(place, "fsx", "association/*", "file-system/*", "task/*")
    shared = anywhere(place, "elasticfilesystem", "access-point/*", "file-system/*")
    return [
        statement(
            "MakeLustre",
            actions=_MAKE_LUSTRE,
            resources=lustre,
            conditions=NEW,
        ),
        statement(
            "Lustre",
            actions=_LUSTRE,
            resources=lustre,
            conditions=OURS,
        ),
        # It has no name before it is made.
        statement(
            "MakeShared",
            actions=["elasticfilesystem:CreateFileSystem", "elasticfilesystem:TagResource"],
            resources=["*"],
            conditions=NEW,
        ),
        statement(
            "Shared",
            actions=_SHARED,
            resources=shared,
            conditions=OURS,
        ),
        statement(
            "MountTargets",
            actions=["ec2:CreateNetworkInterface", "ec2:DeleteNetworkInterface"],
            resources=anywhere(place, "ec2", "network-interface/*", "security-group/*", "subnet/*"),
        ),
    ]


def log_statements(place: Place) -> list[dict[str, Any]]:
    """Return the rights to the log groups of flow logs, by their names."""
    group = f"log-group:{naming.log_group('*', naming.FLOW_LOGS)}"
    return [
        statement(
            "FlowLogs",
            actions=[
                "logs:AssociateKmsKey",
                "logs:CreateLogGroup",
                "logs:DeleteLogGroup",
                "logs:DeleteRetentionPolicy",
                "logs:ListTagsForResource",
                "logs:PutRetentionPolicy",
                "logs:TagResource",
                "logs:UntagResource",
            ],
            resources=anywhere(place, "logs", group, f"{group}:*"),
        )
    ]
