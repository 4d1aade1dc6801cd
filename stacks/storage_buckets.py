"""The two buckets of an environment: what its runs make, and the datasets that they read."""

from __future__ import annotations

from dataclasses import dataclass

from stacks import naming
from stacks.account import AccountSpec
from stacks.audit_buckets import access_logs_of
from stacks.aws.generated import kms, s3
from stacks.buckets import Aging, private_bucket
from stacks.cdk import Stack
from stacks.environment import EnvironmentSpec


@dataclass(frozen=True)
class Buckets:
    """The buckets of an environment."""

    artifacts: s3.S3Bucket
    datasets: s3.S3Bucket


def add_buckets(stack: Stack, account: AccountSpec, spec: EnvironmentSpec, key: kms.KmsKey) -> Buckets:
    """Add both buckets; Terraform deletes one with what it holds only where the file says `delete`."""
    artifacts, datasets = spec.artifacts, spec.datasets
    accesses = access_logs_of(account, spec)
    return Buckets(
        artifacts=private_bucket(
            stack,
            "artifacts",
            naming.artifact_bucket(account.organization, spec.name, spec.region),
            key=key,
            force_destroy=artifacts.on_teardown == "delete",
            aging=Aging(
                old_version_days=artifacts.old_version_days, checkpoint_days=artifacts.checkpoint_days
            ),
            access_logs=accesses,
        ),
        datasets=private_bucket(
            stack,
            "datasets",
            naming.dataset_bucket(account.organization, spec.name, spec.region),
            key=key,
            force_destroy=datasets.on_teardown == "delete",
            aging=Aging(old_version_days=datasets.old_version_days),
            access_logs=accesses,
        ),
    )
