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
    return [*_make(spec, place), *_use(spec, place), *_link(place, artifacts, datasets)]


def _make(spec: EnvironmentSpec, place: Place) -> list[dict[str, Any]]:
    new = {"StringEquals": {f"aws:RequestTag/{naming.TAG_ENVIRONMENT}": spec.name}}
    links, tasks = place.arn("fsx", "association/*"), place.arn("fsx", "task/*")
    return [
        statement(
            "MakeRunFileSystem",
            actions=["fsx:CreateFileSystem", "fsx:TagResource"],
            resources=[place.arn("fsx", "file-system/*")],
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
    ]


def _use(spec: EnvironmentSpec, place: Place) -> list[dict[str, Any]]:
    own = {"StringEquals": {f"aws:ResourceTag/{naming.TAG_ENVIRONMENT}": spec.name}}
    return [
        statement(
            "UseRunFileSystem",
            actions=[
                "fsx:CreateDataRepositoryAssociation",
                "fsx:CreateDataRepositoryTask",
                "fsx:DeleteFileSystem",
            ],
            resources=[place.arn("fsx", "file-system/*")],
            conditions=own,
        ),
        # While a task runs, FSx deletes no file system.
        statement(
            "CancelTasks",
            actions=["fsx:CancelDataRepositoryTask"],
            resources=[place.arn("fsx", "task/*")],
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
    ]


def _link(place: Place, artifacts: str, datasets: str) -> list[dict[str, Any]]:
    """FSx reads and writes the buckets by a role of its own, which it makes in the caller's name."""
    return [
        statement(
            "LinkBuckets",
            actions=["iam:AttachRolePolicy", "iam:CreateServiceLinkedRole", "iam:PutRolePolicy"],
            resources=[f"arn:{place.partition}:iam::{place.account_id}:role/{SERVICE_ROLES}/*"],
        ),
        statement("SeeDatasets", actions=["s3:ListBucket"], resources=[datasets]),
        statement("LinkDatasets", actions=["s3:GetObject"], resources=[f"{datasets}/*"]),
        statement("SeeLinked", actions=["s3:GetBucketLocation"], resources=[artifacts, datasets]),
    ]
