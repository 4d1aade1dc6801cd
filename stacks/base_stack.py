"""The base stack: what an environment keeps between runs, and what costs little."""

from __future__ import annotations

from stacks import naming
from stacks.account import AccountSpec
from stacks.aws.generated import kms
from stacks.base_outputs import BaseOutputs
from stacks.buckets import private_bucket
from stacks.cdk import Stack
from stacks.environment import EnvironmentSpec
from stacks.network import add_network
from stacks.roles import Storage, add_roles

KEY_DELETION_DAYS = 7
"""How long a deleted key can still be brought back; the least that KMS allows."""


def fill_base_stack(stack: Stack, account: AccountSpec, spec: EnvironmentSpec) -> None:
    """Add the environment's lasting resources to the stack, and its outputs."""
    network = add_network(stack, spec)
    key = kms.KmsKey(
        stack,
        "main",
        description=f"Everything at rest of {spec.name}",
        enable_key_rotation=True,
        deletion_window_in_days=KEY_DELETION_DAYS,
    )
    kms.KmsAlias(stack, "main", name=f"alias/{spec.name}", target_key_id=key.key_id)
    artifacts = private_bucket(
        stack,
        "artifacts",
        naming.artifact_bucket(account.organization, spec.name, spec.region),
        key=key,
        force_destroy=spec.artifacts.on_teardown == "delete",
    )
    profiles = add_roles(stack, spec, Storage(artifacts.arn, key.arn))
    BaseOutputs(
        vpc_id=network.vpc_id,
        subnet_ids=network.subnet_ids,
        nodes_security_group_id=network.nodes_security_group_id,
        kms_key_arn=key.arn,
        artifact_bucket=artifacts.bucket,
        head_profile=profiles.head,
        node_profile=profiles.node,
    ).publish(stack)
