"""The record, and who hears of a change to it: what nobody may do to either who carries the deny list."""

from __future__ import annotations

from typing import Any

from stacks import naming
from stacks.account_parts import AccountParts
from stacks.audit_buckets import RETENTION_ACTIONS
from stacks.policies import statement
from stacks.session_document import session_document_arn

_TRAIL = ("DeleteTrail", "PutEventSelectors", "PutInsightSelectors", "StopLogging", "UpdateTrail")
_SETTINGS = (
    "DeleteBucket*",
    "PutBucket*",
    "PutEncryptionConfiguration",
    "PutLifecycleConfiguration",
    "PutReplicationConfiguration",
)
"""Every setting of a bucket; the policy, its lock, its logging and its versions are among `PutBucket*`."""
_KEY = ("*Alias", "CreateGrant", "Disable*", "PutKeyPolicy", "ScheduleKeyDeletion")
_DOCUMENT = ("DeleteDocument", "ModifyDocumentPermission", "UpdateDocument*")
_ALARMS = ("DeleteAlarms", "DisableAlarmActions", "PutMetricAlarm", "SetAlarmState")
_GROUPS = ("Delete*", "Disassociate*", "Put*")
"""Of a log group: itself, its streams, retention, encryption, metric filters and subscriptions."""
_TOPIC = ("AddPermission", "Delete*", "RemovePermission", "Set*", "Unsubscribe")


def keep_record(parts: AccountParts) -> list[dict[str, Any]]:
    """Return the statements, all of which deny: trail, buckets, logs, key, document, alarms, topic."""
    place, named = parts.place, parts.named
    organization, region = parts.account.organization, parts.account.region
    logs = place.bucket_arn(naming.access_log_bucket(organization, region))
    state = place.bucket_arn(naming.state_bucket(organization, region))
    audit = place.bucket_arn(parts.audit_bucket)
    gone = [*("s3:DeleteObject", "s3:DeleteObjectVersion"), *RETENTION_ACTIONS]
    groups = place.arn("logs", f"log-group:{naming.account_log_group(organization, '*')}")
    aliases = [place.arn("kms", f"alias/{named(name)}") for name in (naming.AUDIT_KEY, naming.LEDGER_KEY)]
    # A subscription's ARN begins with its topic's.
    topic = f"{place.arn('sns', named(naming.ALERTS_TOPIC))}*"
    return [
        _deny("KeepTrail", _of("cloudtrail", *_TRAIL), parts.trail_arn),
        _deny("KeepRecord", gone, f"{audit}/*", f"{logs}/*"),
        _deny("KeepBuckets", _of("s3", *_SETTINGS), audit, logs, state),
        _deny("KeepTranscripts", _of("logs", *_GROUPS), groups),
        _deny("KeepKey", _of("kms", *_KEY), parts.key.arn, parts.ledger_key.arn, *aliases),
        _deny("KeepDocument", _of("ssm", *_DOCUMENT), session_document_arn(parts.account, place)),
        _deny("KeepAlarms", _of("cloudwatch", *_ALARMS), place.arn("cloudwatch", f"alarm:{named('*')}")),
        _deny("KeepAlerts", _of("sns", *_TOPIC), topic),
    ]


def _of(service: str, *actions: str) -> list[str]:
    return [f"{service}:{action}" for action in actions]


def _deny(name: str, actions: list[str], *resources: str) -> dict[str, Any]:
    return statement(name, effect="Deny", actions=actions, resources=resources)
