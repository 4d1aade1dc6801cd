"""The fast parallel file system (FSx for Lustre), and how it shows the datasets and writes results back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from stacks import naming
from stacks.account import AccountSpec
from stacks.aws.generated import fsx, kms
from stacks.aws.layer import Resource
from stacks.cdk import Stack
from stacks.environment import EnvironmentSpec
from stacks.place import Place
from stacks.policies import KEY_USE, statement
from stacks.storage_buckets import Buckets
from stacks.storage_security import StorageGroup

NAME = "fast"
"""Its name in the stack."""
LUSTRE_VERSION = "2.15"
EVENTS = ("NEW", "CHANGED", "DELETED")
TIMEOUTS: fsx.FsxLustreFileSystemTimeouts = {"create": "60m", "update": "60m", "delete": "60m"}
"""The provider gives a link 10 minutes; one that imports many objects may take longer."""
RESULTS_FOLDER = "fsx"
"""Folder of the artifact bucket that `/fsx/results` is written back to."""
SERVICE_ROLES = "aws-service-role/s3.data-source.lustre.fsx.amazonaws.com"
"""Path of the roles that FSx makes, one for each file system that is linked to a bucket."""


@dataclass(frozen=True)
class FastFiles:
    """What a machine mounts it by."""

    dns_name: str
    mount_name: str


def add_persistent(
    stack: Stack,
    account: AccountSpec,
    spec: EnvironmentSpec,
    key: kms.KmsKey,
    subnet_id: str,
    group: StorageGroup,
    buckets: Buckets,
) -> FastFiles:
    """Add the one that is kept with the base: replicated, encrypted with the environment's key.

    To be retained, Terraform refuses to destroy it: `fleetform down --base` takes it out of the state first.
    """
    made = fsx.FsxLustreFileSystem(
        stack,
        NAME,
        deployment_type="PERSISTENT_2",
        per_unit_storage_throughput=spec.fsx.throughput,
        metadata_configuration={"mode": "AUTOMATIC"},
        kms_key_id=key.arn,
        storage_capacity=spec.fsx.size_gib,
        storage_type="SSD",
        file_system_type_version=LUSTRE_VERSION,
        data_compression_type="LZ4",
        subnet_ids=[subnet_id],
        security_group_ids=[group.id],
        # FSx takes no backups of a file system that is linked to a bucket.
        automatic_backup_retention_days=0,
        skip_final_backup=True,
        lifecycle={"prevent_destroy": spec.fsx.on_teardown == "retain"},
        timeouts=TIMEOUTS,
        # Without them FSx refuses now and then: "do not permit Lustre LNET network traffic on port 988".
        depends_on=group.lustre_rules,
        tags={"Name": f"{spec.name}-{NAME}"},
    )
    return _linked(stack, account, spec, made, (buckets.artifacts, buckets.datasets))


def add_scratch(
    stack: Stack, account: AccountSpec, spec: EnvironmentSpec, subnet_id: str, security_group_id: str
) -> FastFiles:
    """Add the one that is made and ended with the fleet: not replicated, encrypted with FSx's own key."""
    made = fsx.FsxLustreFileSystem(
        stack,
        NAME,
        deployment_type="SCRATCH_2",
        storage_capacity=spec.fsx.size_gib,
        storage_type="SSD",
        file_system_type_version=LUSTRE_VERSION,
        data_compression_type="LZ4",
        subnet_ids=[subnet_id],
        security_group_ids=[security_group_id],
        skip_final_backup=True,
        timeouts=TIMEOUTS,
        tags={"Name": f"{spec.name}-{NAME}"},
    )
    return _linked(stack, account, spec, made)


def _linked(
    stack: Stack,
    account: AccountSpec,
    spec: EnvironmentSpec,
    made: fsx.FsxLustreFileSystem,
    buckets: Sequence[Resource] = (),
) -> FastFiles:
    """Link the file system to the buckets where the file asks for it, and return how it is mounted.

    `buckets` are those that the same stack makes, and that must be there first.
    """
    if spec.fsx.linked:
        names = (account.organization, spec.name, spec.region)
        fsx.FsxDataRepositoryAssociation(
            stack,
            "datasets",
            file_system_id=made.id,
            file_system_path="/datasets",
            data_repository_path=f"s3://{naming.dataset_bucket(*names)}",
            batch_import_meta_data_on_create=True,
            s3={"auto_import_policy": {"events": EVENTS}},
            timeouts=TIMEOUTS,
            tags={"Name": f"{spec.name}-datasets"},
            depends_on=buckets,
        )
        fsx.FsxDataRepositoryAssociation(
            stack,
            "results",
            file_system_id=made.id,
            file_system_path="/results",
            data_repository_path=f"s3://{naming.artifact_bucket(*names)}/{RESULTS_FOLDER}/",
            s3={"auto_export_policy": {"events": EVENTS}},
            timeouts=TIMEOUTS,
            tags={"Name": f"{spec.name}-results"},
            depends_on=buckets,
        )
    return FastFiles(made.dns_name, made.mount_name)


def key_statements(spec: EnvironmentSpec, place: Place) -> list[dict[str, Any]]:
    """Return what the environment's key must allow, so that linked file systems can read and write buckets.

    FSx does so through a role of its own for each file system (FSx for Lustre user guide, "Working with
    server-side encrypted Amazon S3 buckets").
    """
    if not (spec.fsx.run_max_gib or (spec.fsx.kind != "none" and spec.fsx.linked)):
        return []
    roles = f"arn:{place.partition}:iam::{place.account_id}:role/{SERVICE_ROLES}"
    return [
        statement(
            "LinkedFileSystems",
            principal={"AWS": "*"},
            actions=KEY_USE,
            resources=["*"],
            conditions={
                "ArnLike": {"aws:PrincipalArn": f"{roles}/AWSServiceRoleForFSxS3Access_fs-*"},
                "StringEquals": {
                    "kms:CallerAccount": place.account_id,
                    "kms:ViaService": f"s3.{place.region}.amazonaws.com",
                },
            },
        )
    ]
