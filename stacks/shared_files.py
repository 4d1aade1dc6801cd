"""The shared file system (EFS): one for all machines of an environment, reached in TLS by its roles alone."""

from __future__ import annotations

from dataclasses import dataclass

from stacks import naming
from stacks.aws.generated import efs, kms
from stacks.aws.layer import Ref
from stacks.cdk import Stack
from stacks.environment import EnvironmentSpec
from stacks.policies import policy, statement

NAME = "shared"
"""Its name in the stack."""
FILES_OWNER = 1000
"""User and group that everything on it belongs to, whoever writes it: the first user of the images."""


@dataclass(frozen=True)
class SharedFiles:
    """What a machine mounts it by."""

    id: Ref
    access_point: Ref


def add_shared_files(
    stack: Stack,
    spec: EnvironmentSpec,
    key: kms.KmsKey,
    subnet_ids: tuple[str, ...],
    security_group_id: str,
    roles: tuple[Ref, ...],
) -> SharedFiles:
    """Add the file system with a mount target in each subnet, its access point and its policy.

    `roles` are the ARNs of the machines' roles, whom alone it admits. To be retained, Terraform refuses to
    destroy it: `fleetform down --base` takes it out of the state first.
    """
    title = naming.shared_files(spec.name)
    made = efs.EfsFileSystem(
        stack,
        NAME,
        # One file system a name: a second apply after a lost state meets it instead of making another.
        creation_token=title,
        encrypted=True,
        kms_key_id=key.arn,
        performance_mode="generalPurpose",
        throughput_mode=spec.efs.throughput,
        lifecycle_policy=_lifecycle(spec.efs.archive_days),
        lifecycle={"prevent_destroy": spec.efs.on_teardown == "retain"},
        tags={"Name": title},
    )
    for index, subnet in enumerate(subnet_ids):
        efs.EfsMountTarget(
            stack,
            f"{NAME}_{index}",
            file_system_id=made.id,
            subnet_id=subnet,
            security_groups=[security_group_id],
        )
    point = efs.EfsAccessPoint(
        stack,
        NAME,
        file_system_id=made.id,
        posix_user={"uid": FILES_OWNER, "gid": FILES_OWNER},
        root_directory={
            "path": f"/environments/{spec.name}",
            "creation_info": {"owner_uid": FILES_OWNER, "owner_gid": FILES_OWNER, "permissions": "0775"},
        },
        tags={"Name": title},
    )
    efs.EfsFileSystemPolicy(
        stack, NAME, file_system_id=made.id, policy=_file_system_policy(made.arn, point.arn, roles)
    )
    if spec.efs.backup:
        efs.EfsBackupPolicy(stack, NAME, file_system_id=made.id, backup_policy={"status": "ENABLED"})
    return SharedFiles(made.id, point.id)


def _lifecycle(days: int) -> list[efs.EfsFileSystemLifecyclePolicy]:
    if not days:
        return []
    return [
        {"transition_to_ia": f"AFTER_{days}_DAYS"},
        # A file that is read is wanted again: back to the fast class with it.
        {"transition_to_primary_storage_class": "AFTER_1_ACCESS"},
    ]


def _file_system_policy(file_system: str, point: str, roles: tuple[Ref, ...]) -> str:
    """Admit the machines' roles through a mount target and the access point, and refuse all without TLS.

    That takes the mount helper (amazon-efs-utils) in the image. Without a policy, or with one that lets plain
    NFS in, whatever reaches port 2049 could read and write every file as any user.

    The roles are principals: of the condition keys, EFS knows for a mount only the transport, the source
    address, the access point and the mount target (EFS user guide, "Using IAM to control file system data
    access"). IAM keeps a principal by the role's unique id: a role that is deleted and made again by hand is
    nobody here, until the next apply writes the policy anew (the plan shows the id in place of the ARN).
    """
    return policy(
        statement(
            "Machines",
            principal={"AWS": list(roles)},
            actions=["elasticfilesystem:ClientMount", "elasticfilesystem:ClientWrite"],
            resources=[file_system],
            conditions={
                "Bool": {"elasticfilesystem:AccessedViaMountTarget": "true"},
                "StringEquals": {"elasticfilesystem:AccessPointArn": point},
            },
        ),
        statement(
            "TlsOnly",
            effect="Deny",
            principal={"AWS": "*"},
            actions=["*"],
            resources=[file_system],
            conditions={"Bool": {"aws:SecureTransport": "false"}},
        ),
    )
