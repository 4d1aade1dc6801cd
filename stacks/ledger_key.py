"""The key that signs the ledger's checkpoints: the reaper's role alone may, and no role of people."""

from __future__ import annotations

from typing import Any

from stacks import naming
from stacks.account import AccountSpec
from stacks.audit_key import ADMINISTER, DELETION_DAYS
from stacks.aws.generated import kms
from stacks.cdk import Stack
from stacks.place import Place
from stacks.policies import policy, statement

SPEC = "RSA_3072"
"""What fleet/signatures.py verifies with the standard library alone, of a length that lasts beyond 2030
(NIST SP 800-57 part 1, 5.6.1). KMS rotates no key that signs."""
_ADMINISTER = sorted([*ADMINISTER, "kms:GetPublicKey"])


def add_ledger_key(stack: Stack, account: AccountSpec, place: Place) -> kms.KmsKey:
    """Add the key, its policy and its alias; Terraform refuses to delete it."""
    key = kms.KmsKey(
        stack,
        "ledger",
        description="Signs the checkpoints of the ledger",
        customer_master_key_spec=SPEC,
        key_usage="SIGN_VERIFY",
        deletion_window_in_days=DELETION_DAYS,
        policy=policy(*_statements(account, place)),
        lifecycle={"prevent_destroy": True},
    )
    alias = naming.ledger_key_alias(account.organization)
    kms.KmsAlias(stack, "ledger", name=alias, target_key_id=key.key_id)
    return key


def reaper_role_arn(account: AccountSpec, place: Place) -> str:
    """Return the ARN of the reaper's role, known before it is made."""
    name = naming.account_name(account.organization, naming.REAPER)
    return f"arn:{place.partition}:iam::{place.account_id}:role/{name}"


def _statements(account: AccountSpec, place: Place) -> list[dict[str, Any]]:
    """Return who may do what with it: the account manages it by IAM, and the reaper signs.

    An administrator's `kms:*` signs nothing, nor is there a `kms:CreateGrant` to let oneself.
    """
    principal = {"AWS": place.root_arn}
    return [
        # Without this nobody could ever change the policy again.
        statement("Administer", principal=principal, actions=_ADMINISTER, resources=["*"]),
        statement(
            "ReaperSigns",
            principal=principal,
            actions=["kms:Sign"],
            resources=["*"],
            conditions={"ArnEquals": {"aws:PrincipalArn": reaper_role_arn(account, place)}},
        ),
    ]
