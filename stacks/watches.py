"""What somebody hears of: patterns over the trail's events, for each change that concerns the record."""

from __future__ import annotations

from dataclasses import dataclass

from stacks import naming
from stacks.account_parts import AccountParts


@dataclass(frozen=True, kw_only=True)
class Watch:
    """One thing that somebody hears of."""

    name: str
    pattern: str
    """Filter pattern of CloudWatch Logs over an event of CloudTrail, 1024 characters at most."""
    what: str
    """What happened, for the message."""


def watches(parts: AccountParts) -> tuple[Watch, ...]:
    """Return what is watched; the sign-ins by patterns of the CIS AWS Foundations benchmark."""
    return (
        *_record_watches(parts),
        *_kept_watches(parts),
        *_telling_watches(parts),
        *_people_watches(parts),
        *_sign_in_watches(),
    )


def _record_watches(parts: AccountParts) -> tuple[Watch, ...]:
    """Return what is watched of the trail and the buckets."""
    return (
        Watch(
            name="trail-changed",
            pattern=_where(
                _is("eventSource", "cloudtrail.amazonaws.com"),
                _named(
                    "CreateTrail",
                    "DeleteTrail",
                    "PutEventSelectors",
                    "StartLogging",
                    "StopLogging",
                    "UpdateTrail",
                ),
            ),
            what="A trail was made, changed, stopped or deleted",
        ),
        Watch(
            name="record-changed",
            pattern=_where(
                _is("eventSource", "s3.amazonaws.com"),
                _is("requestParameters.bucketName", parts.named("*")),
                _named("PutBucket*", "DeleteBucket*", "PutObjectLockConfiguration"),
            ),
            what="Policy, lock or another setting of a bucket of record, logs or states was changed",
        ),
    )


def _kept_watches(parts: AccountParts) -> tuple[Watch, ...]:
    """Return what is watched of what the record is kept by: its key, and the document that writes it."""
    document = parts.named(naming.SESSION_DOCUMENT)
    return (
        Watch(
            name="key-changed",
            pattern=_where(
                _is("eventSource", "kms.amazonaws.com"),
                _any(
                    _is("requestParameters.keyId", f"*{parts.key.key_id}*"),
                    _is("requestParameters.keyId", f"*{parts.ledger_key.key_id}*"),
                    _is("requestParameters.aliasName", f"alias/{parts.named('*')}"),
                    braces=False,
                ),
                _named(
                    "*Alias",
                    "CreateGrant",
                    "DisableKey",
                    "DisableKeyRotation",
                    "PutKeyPolicy",
                    "ScheduleKeyDeletion",
                ),
            ),
            what="A key of the record was disabled, is to be deleted, lent, or has another policy or name",
        ),
        Watch(
            name="document-changed",
            pattern=_where(
                _is("eventSource", "ssm.amazonaws.com"),
                _is("requestParameters.name", f"*{document}*"),
                _named("DeleteDocument", "ModifyDocumentPermission", "UpdateDocument*"),
            ),
            what=f"The session document {document} was changed",
        ),
    )


def _telling_watches(parts: AccountParts) -> tuple[Watch, ...]:
    """Return what is watched of the watching itself: alarms, log groups and their filters, the topic."""
    groups = naming.account_log_group(parts.account.organization, "*")
    topic = f"*:{parts.named(naming.ALERTS_TOPIC)}"
    ours = _is("requestParameters.alarmName", parts.named("*"))
    changed = _where(_named("PutMetricAlarm", "SetAlarmState"), ours, braces=False)
    return (
        Watch(
            name="alarms-changed",
            pattern=_where(
                _is("eventSource", "monitoring.amazonaws.com"),
                # The first two name many alarms at once, of which a pattern sees no single one.
                _any(_named("DeleteAlarms", "DisableAlarmActions"), changed, braces=False),
            ),
            what="An alarm was deleted, silenced or changed",
        ),
        Watch(
            name="logs-changed",
            pattern=_where(
                _is("eventSource", "logs.amazonaws.com"),
                _is("requestParameters.logGroupName", groups),
                _named("Delete*", "Disassociate*", "Put*"),
            ),
            what="A log group of trail or transcripts, or what looks at it, was changed or deleted",
        ),
        Watch(
            name="alerts-changed",
            pattern=_where(
                _is("eventSource", "sns.amazonaws.com"),
                _any(
                    _is("requestParameters.topicArn", topic),
                    _is("requestParameters.subscriptionArn", f"{topic}:*"),
                    braces=False,
                ),
                _named("AddPermission", "Delete*", "RemovePermission", "Set*", "Unsubscribe"),
            ),
            what="The topic of alerts, or who hears of it, was changed",
        ),
    )


def _people_watches(parts: AccountParts) -> tuple[Watch, ...]:
    ours = parts.named("*")
    tunnel = _where(_named("StartSession"), _is("requestParameters.documentName", "AWS-*"), braces=False)
    return (
        Watch(
            name="entered-otherwise",
            pattern=_any(
                tunnel,
                _named(
                    "CreateInstanceConnectEndpoint",
                    "EnableSerialConsoleAccess",
                    "OpenTunnel",
                    "SendSSHPublicKey",
                    "SendSerialConsoleSSHPublicKey",
                ),
            ),
            what="Somebody opened, or tried to open, a way into a machine that leaves no transcript",
        ),
        Watch(
            name="roles-changed",
            pattern=_where(
                _is("eventSource", "iam.amazonaws.com"),
                _any(
                    _is("requestParameters.roleName", ours),
                    _is("requestParameters.policyArn", f"*:policy/{ours}"),
                    braces=False,
                ),
                _named("Add*", "Attach*", "Create*", "Delete*", "Detach*", "Put*", "Set*", "Update*"),
            ),
            what="A role or a policy of fleetform's account stack was changed",
        ),
    )


def _sign_in_watches() -> tuple[Watch, ...]:
    return (
        Watch(
            name="root-used",
            pattern='{ $.userIdentity.type = "Root" && $.userIdentity.invokedBy NOT EXISTS '
            '&& $.eventType != "AwsServiceEvent" }',
            what="Somebody used the account's root user",
        ),
        Watch(
            name="signed-in-without-mfa",
            pattern='{ ($.eventName = "ConsoleLogin") && ($.additionalEventData.MFAUsed != "Yes") '
            '&& ($.userIdentity.type = "IAMUser") && ($.responseElements.ConsoleLogin = "Success") }',
            what="An IAM user signed in to the console without a second factor",
        ),
    )


def _is(field: str, value: str) -> str:
    return f'($.{field} = "{value}")'


def _named(*events: str) -> str:
    return _any(*(_is("eventName", event) for event in events), braces=False)


def _any(*conditions: str, braces: bool = True) -> str:
    joined = " || ".join(conditions)
    return f"{{ {joined} }}" if braces else f"({joined})"


def _where(*conditions: str, braces: bool = True) -> str:
    joined = " && ".join(conditions)
    return f"{{ {joined} }}" if braces else f"({joined})"
