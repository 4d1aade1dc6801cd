"""The key of everything at rest in an environment, and who may use it."""

from __future__ import annotations

from typing import Any

from stacks import naming
from stacks.aws.generated import kms
from stacks.cdk import Stack
from stacks.environment import EnvironmentSpec
from stacks.fast_files import key_statements
from stacks.place import Place
from stacks.policies import KEY_USE, policy, statement

KEY_DELETION_DAYS = 7
"""How long a deleted key can still be brought back; the least that KMS allows."""
KEPT_KEY_DELETION_DAYS = 30
"""The same where something is kept that is read with the key alone; the most that KMS allows."""


def add_key(stack: Stack, spec: EnvironmentSpec, place: Place) -> kms.KmsKey:
    """Add the environment's key, its policy and its alias."""
    key = kms.KmsKey(
        stack,
        "main",
        description=f"Everything at rest of {spec.name}",
        enable_key_rotation=True,
        deletion_window_in_days=KEPT_KEY_DELETION_DAYS if _keeps(spec) else KEY_DELETION_DAYS,
        policy=key_policy(spec, place),
    )
    kms.KmsAlias(stack, "main", name=f"alias/{spec.name}", target_key_id=key.key_id)
    return key


def _keeps(spec: EnvironmentSpec) -> bool:
    """Return whether the environment has a store that its teardown keeps."""
    fates = {spec.artifacts.on_teardown, spec.datasets.on_teardown}
    fates |= {spec.efs.on_teardown} if spec.efs.enabled else set()
    fates |= {spec.fsx.on_teardown} if spec.fsx.kind == "persistent" else set()
    return "retain" in fates


def key_policy(spec: EnvironmentSpec, place: Place) -> str:
    """Return the key's policy: the account by IAM but for other environments, and CloudWatch Logs."""
    return policy(
        _account_statement(spec, place),
        # What CloudWatch Logs asks for, for the environment's own log groups and no others (its user guide,
        # "Encrypt log data in CloudWatch Logs using AWS KMS").
        statement(
            "Logs",
            principal={"Service": f"logs.{place.region}.amazonaws.com"},
            actions=KEY_USE,
            resources=["*"],
            conditions={
                "ArnLike": {
                    "kms:EncryptionContext:aws:logs:arn": place.arn(
                        "logs", f"log-group:{naming.log_group(spec.name, '*')}"
                    )
                }
            },
        ),
        *key_statements(spec, place),
    )


def _account_statement(spec: EnvironmentSpec, place: Place) -> dict[str, Any]:
    """Return the admission of the account, but for principals of other environments.

    IAM decides for the account's own principals only where they carry no environment's tag, or this one's:
    fleetform's roles all carry one, and a role of another environment is refused whatever its policies allow.
    The account itself stays admitted: the root user has no tags, and without a way back a mistake in this
    policy would lock the key, and with it all runs, for ever.
    """
    return statement(
        "Account",
        principal={"AWS": place.root_arn},
        actions=["kms:*"],
        resources=["*"],
        conditions={
            "StringEqualsIfExists": {
                f"aws:PrincipalTag/{naming.TAG_ENVIRONMENT}": [spec.name, naming.ACCOUNT_STACK]
            }
        },
    )
