"""How people enter a machine: our own Session Manager document, with a transcript, and what it takes."""

from __future__ import annotations

from typing import Any

from stacks import naming
from stacks.account import AccountSpec
from stacks.account_parts import AccountParts
from stacks.aws.generated import iam, ssm
from stacks.cdk import Stack
from stacks.place import Place
from stacks.policies import policy, statement
from stacks.trail import add_log_group
from templates.engine import render
from templates.ssm_documents import SessionDocument


def add_session_document(parts: AccountParts) -> None:
    """Add the document and the log group of the transcripts.

    The document is ours and named so: `SSM-SessionManagerRunShell`, the default, is one for all of an account
    and region, and may be somebody else's.
    """
    group = add_log_group(parts, "sessions")
    sessions = parts.account.sessions
    text = render(
        SessionDocument(
            description="A shell on a machine of fleetform's, with a transcript",
            bucket=parts.audit_bucket,
            prefix=naming.SESSIONS_PREFIX.rstrip("/"),
            log_group=group.name,
            key=parts.key.arn,
            run_as=sessions.run_as,
            idle_minutes=sessions.idle_minutes,
            max_minutes=sessions.max_minutes,
        )
    )
    document = ssm.SsmDocument(
        parts.stack,
        "session",
        name=parts.named(naming.SESSION_DOCUMENT),
        document_type="Session",
        document_format="JSON",
        content=text,
        lifecycle={"prevent_destroy": True},
    )
    parts.stack.output("session_document", document.name, "Session Manager document to enter machines by")


def add_session_rights(stack: Stack, account: AccountSpec, place: Place) -> None:
    """Add what a session needs to both roles of an environment's machines."""
    if permissions := session_permissions(account, place):
        for role in (naming.ROLE_HEAD, naming.ROLE_NODE):
            iam.IamRolePolicy(
                stack,
                f"{role}_session",
                name="session",
                role=f"${{aws_iam_role.{role}.id}}",
                policy=policy(*permissions),
            )


def session_document_arn(account: AccountSpec, place: Place) -> str:
    """Return the ARN of the document that people may enter machines of that place by."""
    name = naming.account_name(account.organization, naming.SESSION_DOCUMENT)
    return place.arn("ssm", f"document/{name}")


def session_permissions(account: AccountSpec, place: Place) -> list[dict[str, Any]]:
    """Return what a machine's role needs for a session's transcript and encryption; none in another region.

    `place` is the machine's. The document stands in the account's region, and a session takes a document of
    the machine's own region: elsewhere nobody enters a machine. From Session Manager's guide, "Create a
    custom IAM role for Session Manager", narrowed to our folder, log group and key; the machine cannot read
    what it wrote.
    """
    if place.region != account.region:
        return []
    bucket = place.bucket_arn(naming.ledger_bucket(account.organization, account.region))
    group = place.arn("logs", f"log-group:{naming.account_log_group(account.organization, 'sessions')}")
    return [
        statement("Transcript", actions=["s3:PutObject"], resources=[f"{bucket}/{naming.SESSIONS_PREFIX}*"]),
        statement("TranscriptBucket", actions=["s3:GetEncryptionConfiguration"], resources=[bucket]),
        statement(
            "TranscriptStream",
            actions=["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"],
            resources=[group, f"{group}:log-stream:*"],
        ),
        # The agent looks the group up by its name; the action knows no single groups.
        statement("TranscriptGroup", actions=["logs:DescribeLogGroups"], resources=["*"]),
        session_key_statement(account, place, ["kms:Decrypt"]),
    ]


def session_key_statement(account: AccountSpec, place: Place, actions: list[str]) -> dict[str, Any]:
    """Return the statement that admits to the audit key for sessions, and for nothing else it encrypts.

    By the key's alias: the base stack is made beside the account's, and does not know the key's id.
    """
    alias = f"alias/{naming.account_name(account.organization, naming.AUDIT_KEY)}"
    return statement(
        "SessionKey",
        actions=actions,
        resources=[place.arn("kms", "key/*")],
        conditions={
            "ForAnyValue:StringEquals": {"kms:ResourceAliases": alias},
            "Null": {"kms:EncryptionContext:aws:ssm:SessionId": "false"},
        },
    )
