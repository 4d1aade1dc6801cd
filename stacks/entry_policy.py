"""What nobody may do who enters machines by fleetform's roles: enter off the record, or touch the record."""

from __future__ import annotations

from typing import Any

from stacks import naming
from stacks.account import AccountSpec
from stacks.account_parts import AccountParts
from stacks.aws.generated import ec2, iam
from stacks.place import Place
from stacks.policies import policy, statement
from stacks.reaper_watches import keep_reaper
from stacks.record_policy import keep_record
from stacks.session_document import session_document_arn

RUN_AS_TAG = "SSMSessionRunAs"
"""A principal with this tag enters as the user that the tag names, whatever the document says."""


def add_entry_policy(parts: AccountParts) -> None:
    """Add the policy, and close the serial console unless the account's file leaves it alone."""
    made = iam.IamPolicy(
        parts.stack,
        "deny_entry",
        name=parts.named(naming.DENY_ENTRY_POLICY),
        description="Nobody enters a machine of fleetform's off the record, or touches the record",
        policy=policy(*deny_entry(parts)),
    )
    # Made over the API before the first role that carries it, which may be an environment's.
    parts.stack.take_over(made.address, deny_entry_arn(parts.account, parts.place))
    parts.stack.output("deny_entry_policy", made.arn, "Policy that every role of people carries")
    if parts.account.sessions.serial_console == "closed":
        ec2.Ec2SerialConsoleAccess(parts.stack, "account", enabled=False)


def deny_entry_arn(account: AccountSpec, place: Place) -> str:
    """Return the policy's ARN, for roles of other stacks than the account's."""
    return naming.account_policy_arn(
        account.organization, naming.DENY_ENTRY_POLICY, place.partition, place.account_id
    )


def deny_entry(parts: AccountParts) -> list[dict[str, Any]]:
    """Return the statements, all of which deny; they do as well in a service control policy.

    Sessions: every document but ours is denied, and with that each of AWS's that opens a tunnel or runs a
    command off the record (`AWS-StartSSHSession`, `AWS-StartPortForwardingSession*`,
    `AWS-StartInteractiveCommand`, `AWS-StartNonInteractiveCommand`, `AWS-PasswordReset`), those to come too.
    The default document is only looked at where the statement that allows StartSession has the condition
    `ssm:SessionDocumentAccessCheck`.
    """
    kept = keep_reaper(parts.account.organization, parts.place)
    return [*_ways_in(parts), *_ways_around(), *keep_record(parts), *kept]


def _ways_in(parts: AccountParts) -> list[dict[str, Any]]:
    place = parts.place
    return [
        statement(
            "OnlyOurSessions",
            effect="Deny",
            actions=["ssm:StartSession"],
            other_than=[
                f"arn:{place.partition}:ec2:*:*:instance/*",
                f"arn:{place.partition}:ssm:*:*:managed-instance/*",
                session_document_arn(parts.account, place),
            ],
        ),
        statement(
            "NoOtherUser",
            effect="Deny",
            actions=["iam:TagRole", "iam:TagUser", "sts:TagSession"],
            resources=["*"],
            conditions={"ForAnyValue:StringEquals": {"aws:TagKeys": RUN_AS_TAG}},
        ),
        statement(
            "NoKeysNoConsole",
            effect="Deny",
            actions=[
                "ec2-instance-connect:OpenTunnel",
                "ec2-instance-connect:SendSSHPublicKey",
                "ec2-instance-connect:SendSerialConsoleSSHPublicKey",
                "ec2:CreateInstanceConnectEndpoint",
                "ec2:EnableSerialConsoleAccess",
            ],
            resources=["*"],
        ),
    ]


def _ways_around() -> list[dict[str, Any]]:
    """Return the statements about a machine's disk, start and role, for machines that carry our tag."""
    ours = {"Null": {f"aws:ResourceTag/{naming.TAG_ENVIRONMENT}": "false"}}
    return [
        statement(
            "NoDiskElsewhere",
            effect="Deny",
            actions=[
                "ec2:AttachVolume",
                "ec2:CreateImage",
                "ec2:CreateReplaceRootVolumeTask",
                "ec2:CreateSnapshot",
                "ec2:CreateSnapshots",
                "ec2:DetachVolume",
            ],
            resources=["*"],
            conditions=ours,
        ),
        statement(
            "NoOtherStart",
            effect="Deny",
            actions=[
                "ec2:AssociateAddress",
                "ec2:AssociateIamInstanceProfile",
                "ec2:ModifyInstanceAttribute",
                "ec2:ModifyInstanceMetadataOptions",
                "ec2:ReplaceIamInstanceProfileAssociation",
            ],
            resources=["*"],
            conditions=ours,
        ),
    ]
