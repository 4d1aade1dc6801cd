"""What the head node may do with FSx: make, fill, empty and delete a run's own file system, and no other."""

from __future__ import annotations

from typing import Any

from stacks import naming
from stacks.environment import EnvironmentSpec
from stacks.fast_files import SERVICE_ROLES
from stacks.place import Place
from stacks.policies import statement


def run_file_system_statements(
    spec: EnvironmentSpec, place: Place, artifacts: str, datasets: str
) -> list[dict[str, Any]]:
    """Return the head's statements; none where no run may have a file system. The buckets are ARNs.

    What is made carries the environment's tag from its first moment, and nothing without it can be touched.
    """
    if not spec.fsx.run_max_gib:
        return []
    own = {"StringEquals": {f"aws:ResourceTag/{naming.TAG_ENVIRONMENT}": spec.name}}
    new = {"StringEquals": {f"aws:RequestTag/{naming.TAG_ENVIRONMENT}": spec.name}}
    systems, links, tasks = (place.arn("fsx", f"{kind}/*") for kind in ("file-system", "association", "task"))
    return [
        statement(
            "MakeRunFileSystem",
            actions=["fsx:CreateFileSystem", "fsx:TagResource"],
            resources=[systems],
            conditions=new,
        ),
        statement(
            "MakeLinksAndTasks",
            actions=[
                "fsx:CreateDataRepositoryAssociation",
                "fsx:CreateDataRepositoryTask",
                "fsx:TagResource",
            ],
            resources=[links, tasks],
            conditions=new,
        ),
        statement(
            "UseRunFileSystem",
            actions=[
                "fsx:CreateDataRepositoryAssociation",
                "fsx:CreateDataRepositoryTask",
                "fsx:DeleteFileSystem",
            ],
            resources=[systems],
            conditions=own,
        ),
        # Descriptions cannot be narrowed to single resources.
        statement(
            "SeeFileSystems",
            actions=[
                "ec2:DescribeSecurityGroups",
                "ec2:DescribeSubnets",
                "ec2:DescribeVpcs",
                "fsx:DescribeDataRepositoryAssociations",
                "fsx:DescribeDataRepositoryTasks",
                "fsx:DescribeFileSystems",
            ],
            resources=["*"],
        ),
        # FSx reads and writes the buckets by a role of its own, which it makes in the caller's name.
        statement(
            "LinkBuckets",
            actions=["iam:AttachRolePolicy", "iam:CreateServiceLinkedRole", "iam:PutRolePolicy"],
            resources=[f"arn:{place.partition}:iam::{place.account_id}:role/{SERVICE_ROLES}/*"],
        ),
        statement("SeeDatasets", actions=["s3:ListBucket"], resources=[datasets]),
        statement("LinkDatasets", actions=["s3:GetObject"], resources=[f"{datasets}/*"]),
        statement("SeeLinked", actions=["s3:GetBucketLocation"], resources=[artifacts, datasets]),
    ]
