"""The alarms of the account: each fires on what it is for, by its own filter pattern, and on nothing else."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import Any

import pytest

from sandbox.iam.principals import Principal
from tests.account_policies import BUCKET, MEMBER, OWNER, may, policy_of, resolved, synthesized

KEY_ID, SIGNING_ID = "0123-audit", "0123-ledger"
TOPIC = f"arn:aws:sns:us-east-1:{OWNER}:acme-ai-fleetform-alerts"
REAPER = "acme-ai-fleetform-reaper"
LEASE = "fleetform-lease-vision-us-east-1"
_TOKEN = re.compile(r'\s*(&&|\|\||!=|=|\(|\)|NOT EXISTS|"[^"]*"|\$[A-Za-z.]+)')


def fires(pattern: str, event: dict[str, Any]) -> bool:
    """Return whether CloudWatch Logs would count the event.

    The part of its syntax for JSON that the patterns use ("Filter and pattern syntax" in its user guide):
    = and != on text with `*`, NOT EXISTS, && before ||, parentheses.
    """
    tokens = _TOKEN.findall(pattern.strip()[1:-1])
    assert "".join(tokens).replace(" ", "") == pattern.strip()[1:-1].replace(" ", ""), (
        "read to its last letter"
    )
    value, rest = _any(tokens, event)
    assert rest == []
    return value


def _any(tokens: list[str], event: dict[str, Any]) -> tuple[bool, list[str]]:
    value, tokens = _all(tokens, event)
    while tokens[:1] == ["||"]:
        other, tokens = _all(tokens[1:], event)
        value = value or other
    return value, tokens


def _all(tokens: list[str], event: dict[str, Any]) -> tuple[bool, list[str]]:
    value, tokens = _one(tokens, event)
    while tokens[:1] == ["&&"]:
        other, tokens = _one(tokens[1:], event)
        value = value and other
    return value, tokens


def _one(tokens: list[str], event: dict[str, Any]) -> tuple[bool, list[str]]:
    if tokens[0] == "(":
        value, tokens = _any(tokens[1:], event)
        assert tokens[0] == ")"
        return value, tokens[1:]
    found = _at(event, tokens[0])
    if tokens[1] == "NOT EXISTS":
        return found is None, tokens[2:]
    same = found is not None and fnmatchcase(found, tokens[2].strip('"'))
    return (same if tokens[1] == "=" else found is not None and not same), tokens[3:]


def _at(event: dict[str, Any], path: str) -> str | None:
    value: Any = event
    for part in path.removeprefix("$.").split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return None if value is None else str(value)


@pytest.fixture(scope="module")
def stack() -> dict[str, Any]:
    return synthesized('[alerts]\nemails = ["security@example.com", "infra@example.com"]')


def call(service: str, event: str, /, **parameters: str) -> dict[str, Any]:
    """Return an event of CloudTrail's, as far as the patterns look at it."""
    return {
        "eventSource": f"{service}.amazonaws.com",
        "eventName": event,
        "eventType": "AwsApiCall",
        "userIdentity": {"type": "AssumedRole"},
        "requestParameters": parameters,
    }


def sign_in(kind: str, mfa: str) -> dict[str, Any]:
    return {
        "eventSource": "signin.amazonaws.com",
        "eventName": "ConsoleLogin",
        "eventType": "AwsConsoleSignIn",
        "userIdentity": {"type": kind},
        "additionalEventData": {"MFAUsed": mfa},
        "responseElements": {"ConsoleLogin": "Success"},
    }


ROOT_CALL = {**call("ec2", "RunInstances"), "userIdentity": {"type": "Root"}}
FIRES = [
    ("trail-changed", call("cloudtrail", "StopLogging", name="acme-ai-fleetform-trail")),
    ("trail-changed", call("cloudtrail", "PutEventSelectors")),
    ("record-changed", call("s3", "PutBucketPolicy", bucketName=BUCKET)),
    ("record-changed", call("s3", "PutBucketObjectLockConfiguration", bucketName=BUCKET)),
    ("record-changed", call("s3", "DeleteBucketPolicy", bucketName=BUCKET)),
    ("key-changed", call("kms", "ScheduleKeyDeletion", keyId=KEY_ID)),
    ("key-changed", call("kms", "DisableKey", keyId=f"arn:aws:kms:us-east-1:{OWNER}:key/{KEY_ID}")),
    ("key-changed", call("kms", "PutKeyPolicy", keyId=KEY_ID)),
    ("key-changed", call("kms", "DisableKey", keyId=SIGNING_ID)),
    ("record-changed", call("s3", "PutBucketLogging", bucketName=BUCKET.replace("ledger", "state"))),
    ("record-changed", call("s3", "PutBucketReplication", bucketName=BUCKET.replace("ledger", "logs"))),
    ("key-changed", call("kms", "CreateGrant", keyId=KEY_ID)),
    ("key-changed", call("kms", "UpdateAlias", aliasName="alias/acme-ai-fleetform-audit")),
    ("alarms-changed", call("monitoring", "DeleteAlarms")),
    ("alarms-changed", call("monitoring", "DisableAlarmActions")),
    ("alarms-changed", call("monitoring", "PutMetricAlarm", alarmName="acme-ai-fleetform-root-used")),
    ("logs-changed", call("logs", "PutMetricFilter", logGroupName="/fleetform/account/acme-ai/trail")),
    ("logs-changed", call("logs", "DeleteLogGroup", logGroupName="/fleetform/account/acme-ai/sessions")),
    ("logs-changed", call("logs", "DisassociateKmsKey", logGroupName="/fleetform/account/acme-ai/trail")),
    ("alerts-changed", call("sns", "DeleteTopic", topicArn=TOPIC)),
    ("alerts-changed", call("sns", "Unsubscribe", subscriptionArn=f"{TOPIC}:0123")),
    ("alerts-changed", call("sns", "SetSubscriptionAttributes", subscriptionArn=f"{TOPIC}:0123")),
    ("document-changed", call("ssm", "UpdateDocument", name="acme-ai-fleetform-session")),
    ("document-changed", call("ssm", "UpdateDocumentDefaultVersion", name="acme-ai-fleetform-session")),
    ("entered-otherwise", call("ssm", "StartSession", documentName="AWS-StartSSHSession")),
    ("entered-otherwise", call("ssm", "StartSession", documentName="AWS-StartPortForwardingSession")),
    ("entered-otherwise", call("ec2-instance-connect", "SendSSHPublicKey")),
    ("entered-otherwise", call("ec2-instance-connect", "SendSerialConsoleSSHPublicKey")),
    ("entered-otherwise", call("ec2", "EnableSerialConsoleAccess")),
    ("roles-changed", call("iam", "PutRolePolicy", roleName="acme-ai-fleetform-member")),
    ("roles-changed", call("iam", "UpdateAssumeRolePolicy", roleName="acme-ai-fleetform-member")),
    (
        "roles-changed",
        call(
            "iam",
            "CreatePolicyVersion",
            policyArn=f"arn:aws:iam::{OWNER}:policy/acme-ai-fleetform-deny-entry",
        ),
    ),
    ("reaper-changed", call("lambda", "UpdateFunctionCode20150331v2", functionName=REAPER)),
    (
        "reaper-changed",
        call(
            "lambda",
            "PutFunctionConcurrency20171031",
            functionName=f"arn:aws:lambda:us-east-1:{OWNER}:function:{REAPER}",
        ),
    ),
    ("reaper-changed", call("lambda", "DeleteFunction20150331", functionName=REAPER)),
    ("reaper-changed", call("scheduler", "UpdateSchedule", groupName=REAPER, name=f"{REAPER}-look")),
    ("reaper-changed", call("scheduler", "DeleteScheduleGroup", name=REAPER)),
    ("leases-changed", call("scheduler", "DeleteSchedule", groupName=LEASE, name=LEASE)),
    ("leases-changed", call("scheduler", "UpdateSchedule", groupName=LEASE, name=LEASE)),
    ("leases-changed", call("scheduler", "DeleteScheduleGroup", name=LEASE)),
    ("root-used", ROOT_CALL),
    ("root-used", sign_in("Root", "Yes")),
    ("signed-in-without-mfa", sign_in("IAMUser", "No")),
]
SILENT = [
    call("kms", "ScheduleKeyDeletion", keyId="the-key-of-an-environment"),
    call("s3", "PutBucketPolicy", bucketName="acme-ai-vision-artifacts-us-east-1"),
    call("s3", "PutObject", bucketName=BUCKET),
    call("ssm", "StartSession", documentName="acme-ai-fleetform-session"),
    call("ssm", "UpdateDocument", name="vision-run-job"),
    call("iam", "PutRolePolicy", roleName="vision-node-us-east-1"),
    call("iam", "GetRole", roleName="acme-ai-fleetform-member"),
    call("cloudtrail", "GetTrailStatus"),
    call("lambda", "UpdateFunctionCode20150331v2", functionName="another"),
    call("lambda", "GetFunction20150331v2", functionName=REAPER),
    call("scheduler", "DeleteSchedule", groupName="default", name="another"),
    call("scheduler", "GetSchedule", groupName=LEASE, name=LEASE),
    call("monitoring", "PutMetricAlarm", alarmName="speech-gpu-idle"),
    call("logs", "PutRetentionPolicy", logGroupName="/fleetform/vision/flow-logs"),
    call("sns", "Unsubscribe", subscriptionArn=f"arn:aws:sns:us-east-1:{OWNER}:fleetform-lease-vision:0123"),
    call("kms", "CreateGrant", keyId="the-key-of-an-environment"),
    sign_in("IAMUser", "Yes"),
    {**ROOT_CALL, "userIdentity": {"type": "Root", "invokedBy": "autoscaling.amazonaws.com"}},
    {**ROOT_CALL, "eventType": "AwsServiceEvent"},
]
"""What happens every day."""


def patterns(stack: dict[str, Any]) -> dict[str, str]:
    """Return each alarm's pattern by its name."""
    return {
        each["metric_transformation"]["name"]: each["pattern"]
        .replace("${aws_kms_key.audit.key_id}", KEY_ID)
        .replace("${aws_kms_key.ledger.key_id}", SIGNING_ID)
        for each in on_the_trail(stack).values()
    }


def on_the_trail(stack: dict[str, Any]) -> dict[str, Any]:
    """Return the filters that look at the trail; one more looks at what the reaper writes."""
    filters = stack["resource"]["aws_cloudwatch_log_metric_filter"].items()
    return {name: each for name, each in filters if name != "reaper_looked"}


@pytest.mark.parametrize(("alarm", "event"), FIRES)
def test_it_fires_on_what_it_is_for_and_no_other_does(
    stack: dict[str, Any], alarm: str, event: dict[str, Any]
) -> None:
    assert [name for name, pattern in patterns(stack).items() if fires(pattern, event)] == [alarm]


@pytest.mark.parametrize("event", SILENT)
def test_what_happens_every_day_is_silent(stack: dict[str, Any], event: dict[str, Any]) -> None:
    assert [name for name, pattern in patterns(stack).items() if fires(pattern, event)] == []


def test_every_alarm_is_tried() -> None:
    assert {name for name, _ in FIRES} == set(patterns(synthesized()))


def test_an_alarm_counts_what_its_filter_finds_and_tells_the_topic(stack: dict[str, Any]) -> None:
    resources = stack["resource"]
    filters, alarms = on_the_trail(stack), resources["aws_cloudwatch_metric_alarm"]
    assert set(filters) <= set(alarms)
    for name, each in filters.items():
        alarm, metric = alarms[name], each["metric_transformation"]
        assert (alarm["namespace"], alarm["metric_name"]) == (metric["namespace"], metric["name"])
        assert alarm["alarm_actions"] == ["${aws_sns_topic.alerts.arn}"]
        assert (alarm["threshold"], alarm["statistic"], metric["value"]) == (1, "Sum", "1")
        assert each["log_group_name"] == "${aws_cloudwatch_log_group.trail.name}"
        assert len(each["pattern"]) <= 1024, "CloudWatch Logs takes no longer one"
        assert alarm["alarm_name"].startswith("acme-ai-fleetform-")


def test_a_trail_that_delivers_nothing_any_more_is_heard_of_too(stack: dict[str, Any]) -> None:
    alarm = stack["resource"]["aws_cloudwatch_metric_alarm"]["trail_silent"]
    assert alarm["dimensions"] == {"LogGroupName": "${aws_cloudwatch_log_group.trail.name}"}
    assert (alarm["metric_name"], alarm["threshold"], alarm["period"]) == ("IncomingLogEvents", 1, 3600)
    assert (alarm["comparison_operator"], alarm["treat_missing_data"]) == ("LessThanThreshold", "breaching")
    assert alarm["alarm_actions"] == ["${aws_sns_topic.alerts.arn}"]


def test_the_topic_is_encrypted_and_alarms_of_this_account_alone_publish(stack: dict[str, Any]) -> None:
    resources = stack["resource"]
    assert resources["aws_sns_topic"]["alerts"]["kms_master_key_id"] == "${aws_kms_key.audit.arn}"
    addresses = [each["endpoint"] for each in resources["aws_sns_topic_subscription"].values()]
    assert addresses == ["security@example.com", "infra@example.com"]
    policy, topic = (
        policy_of(stack, "aws_sns_topic_policy", "alerts"),
        resolved("${aws_sns_topic.alerts.arn}"),
    )
    alarms = Principal(arn="", account=OWNER, service="cloudwatch.amazonaws.com")
    ours = {"aws:SourceArn": f"arn:aws:cloudwatch:us-east-1:{OWNER}:alarm:x", "aws:SourceAccount": OWNER}
    assert may(alarms, "sns:Publish", topic, ours, resource_policy=policy)
    theirs = {key: value.replace(OWNER, "999999999999") for key, value in ours.items()}
    assert not may(alarms, "sns:Publish", topic, theirs, resource_policy=policy)
    assert may(MEMBER, "sns:Publish", topic, resource_policy=policy)
