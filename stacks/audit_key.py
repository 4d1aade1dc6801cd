"""The account's audit key: what the record is encrypted with, and who may read it."""

from __future__ import annotations

from typing import Any

from stacks import naming
from stacks.account import AccountSpec
from stacks.aws.generated import kms
from stacks.cdk import Stack
from stacks.place import Place
from stacks.policies import policy, statement

DELETION_DAYS = 30
"""How long a deleted key can still be brought back; the most that KMS allows, for the record hangs on it."""
ADMINISTER = [
    "kms:CancelKeyDeletion",
    "kms:CreateAlias",
    "kms:DeleteAlias",
    "kms:DescribeKey",
    "kms:DisableKey",
    "kms:EnableKey",
    "kms:GetKeyPolicy",
    "kms:GetKeyRotationStatus",
    "kms:ListAliases",
    "kms:ListGrants",
    "kms:ListKeyPolicies",
    "kms:ListResourceTags",
    "kms:PutKeyPolicy",
    "kms:RevokeGrant",
    "kms:ScheduleKeyDeletion",
    "kms:TagResource",
    "kms:UntagResource",
    "kms:UpdateAlias",
    "kms:UpdateKeyDescription",
]
"""What an administrator may do with any of the account's keys."""
_ADMINISTER = sorted([*ADMINISTER, "kms:EnableKeyRotation"])
_USE = ["kms:Decrypt", "kms:GenerateDataKey*"]


def add_audit_key(stack: Stack, account: AccountSpec, place: Place) -> kms.KmsKey:
    """Add the key, its policy and its alias; Terraform refuses to delete it."""
    key = kms.KmsKey(
        stack,
        "audit",
        description="The record of the account: trail, transcripts, alerts",
        enable_key_rotation=True,
        deletion_window_in_days=DELETION_DAYS,
        policy=policy(*_people(place), *_services(account, place)),
        lifecycle={"prevent_destroy": True},
    )
    alias = f"alias/{naming.account_name(account.organization, naming.AUDIT_KEY)}"
    kms.KmsAlias(stack, "audit", name=alias, target_key_id=key.key_id)
    return key


def _people(place: Place) -> list[dict[str, Any]]:
    """Return the statements for the account's principals, each of whom needs a policy of its own as well.

    An administrator manages the key, but `kms:*` alone decrypts nothing by a call of its own: only a session
    that one takes part in, what S3 holds of the trail, and messages to the topic. Nor is there a
    `kms:CreateGrant`, by which one would give oneself the rest.
    """
    account = {"AWS": place.root_arn}
    owner = {"kms:CallerAccount": place.account_id}
    return [
        # Without this nobody could ever change the policy again.
        statement("Administer", principal=account, actions=_ADMINISTER, resources=["*"]),
        # The machine and the person who enters it each hold an end of the session (Session Manager's guide,
        # "Turn on KMS key encryption of session data"); the encryption context names the session.
        statement(
            "Sessions",
            principal=account,
            actions=["kms:Decrypt", "kms:GenerateDataKey"],
            resources=["*"],
            conditions={"StringEquals": owner, "Null": {"kms:EncryptionContext:aws:ssm:SessionId": "false"}},
        ),
        statement(
            "ReadTrail",
            principal=account,
            actions=["kms:Decrypt"],
            resources=["*"],
            conditions={
                "StringEquals": {**owner, "kms:ViaService": f"s3.{place.region}.amazonaws.com"},
                "Null": {"kms:EncryptionContext:aws:cloudtrail:arn": "false"},
            },
        ),
        statement(
            "Publish",
            principal=account,
            actions=_USE,
            resources=["*"],
            conditions={"StringEquals": {**owner, "kms:ViaService": f"sns.{place.region}.amazonaws.com"}},
        ),
    ]


def _services(account: AccountSpec, place: Place) -> list[dict[str, Any]]:
    """Return the statements for AWS's own services, each for our own trail, log groups and topic alone."""
    trail = place.arn("cloudtrail", f"trail/{naming.account_name(account.organization, naming.TRAIL)}")
    groups = place.arn("logs", f"log-group:{naming.account_log_group(account.organization, '*')}")
    return [
        statement(
            "Trail",
            principal={"Service": "cloudtrail.amazonaws.com"},
            actions=["kms:GenerateDataKey*"],
            resources=["*"],
            conditions={
                "StringEquals": {"aws:SourceArn": trail, "kms:EncryptionContext:aws:cloudtrail:arn": trail}
            },
        ),
        statement(
            "TrailLooks",
            principal={"Service": "cloudtrail.amazonaws.com"},
            actions=["kms:DescribeKey"],
            resources=["*"],
            conditions={"StringEquals": {"aws:SourceArn": trail}},
        ),
        statement(
            "Logs",
            principal={"Service": f"logs.{place.region}.amazonaws.com"},
            actions=["kms:DescribeKey", "kms:Encrypt", "kms:ReEncrypt*", *_USE],
            resources=["*"],
            conditions={"ArnLike": {"kms:EncryptionContext:aws:logs:arn": groups}},
        ),
        # An alarm publishes to the encrypted topic (CloudWatch's guide, "Amazon SNS encryption").
        statement(
            "Alarms",
            principal={"Service": "cloudwatch.amazonaws.com"},
            actions=_USE,
            resources=["*"],
            conditions={"StringEquals": {"aws:SourceAccount": place.account_id}},
        ),
    ]
