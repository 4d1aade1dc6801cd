"""Who hears what: the account's topic of alerts, and an alarm for each change that concerns the record.

The alarms look at the trail's log group, where the events of every region and of the global services (IAM,
the sign-in) come together; EventBridge would be minutes faster, but would hear only its own region. An alarm
tells that something happened, and the trail who did it.
"""

from __future__ import annotations

from dataclasses import dataclass

from stacks import naming
from stacks.account_parts import AccountParts
from stacks.aws.generated import cloudwatch, logs, sns
from stacks.aws.layer import Ref
from stacks.policies import policy, statement

PERIOD_SECONDS = 300
"""How often an alarm counts; the trail itself comes about five minutes late."""


@dataclass(frozen=True, kw_only=True)
class Watch:
    """One thing that somebody hears of."""

    name: str
    pattern: str
    """Filter pattern of CloudWatch Logs over an event of CloudTrail, 1024 characters at most."""
    what: str
    """What happened, for the message."""


def add_topic(parts: AccountParts) -> None:
    """Add the topic of alerts, encrypted, and a subscription for each address of the account's file."""
    topic = sns.SnsTopic(
        parts.stack, "alerts", name=parts.named(naming.ALERTS_TOPIC), kms_master_key_id=parts.key.arn
    )
    alarms = parts.place.arn("cloudwatch", "alarm:*")
    sns.SnsTopicPolicy(
        parts.stack,
        "alerts",
        arn=topic.arn,
        policy=policy(
            # By a permission of one's own as well.
            statement(
                "Account",
                principal={"AWS": parts.place.root_arn},
                actions=[
                    "sns:AddPermission",
                    "sns:DeleteTopic",
                    "sns:GetTopicAttributes",
                    "sns:ListSubscriptionsByTopic",
                    "sns:Publish",
                    "sns:RemovePermission",
                    "sns:SetTopicAttributes",
                    "sns:Subscribe",
                ],
                resources=[topic.arn],
            ),
            statement(
                "Alarms",
                principal={"Service": "cloudwatch.amazonaws.com"},
                actions=["sns:Publish"],
                resources=[topic.arn],
                conditions={
                    "ArnLike": {"aws:SourceArn": alarms},
                    "StringEquals": {"aws:SourceAccount": parts.place.account_id},
                },
            ),
        ),
    )
    for index, address in enumerate(parts.account.alerts.emails):
        sns.SnsTopicSubscription(
            parts.stack, f"alerts_{index}", topic_arn=topic.arn, protocol="email", endpoint=address
        )
    parts.stack.output("alerts_topic", topic.arn, "Topic of what happens to the account")


def add_alarms(parts: AccountParts, trail_group: Ref) -> None:
    """Add a metric filter on the trail's log group and an alarm for each watch."""
    for watch in watches(parts):
        add_watch(parts, trail_group, watch)


def add_watch(parts: AccountParts, group: Ref, watch: Watch) -> None:
    """Add a metric filter on a log group, and an alarm that tells of its first find."""
    assert len(watch.pattern) <= 1024, watch.name
    own, title = watch.name.replace("-", "_"), parts.named(watch.name)
    namespace = parts.named("record")
    logs.CloudwatchLogMetricFilter(
        parts.stack,
        own,
        name=title,
        log_group_name=group,
        pattern=watch.pattern,
        metric_transformation={"name": watch.name, "namespace": namespace, "value": "1"},
    )
    cloudwatch.CloudwatchMetricAlarm(
        parts.stack,
        own,
        alarm_name=title,
        alarm_description=f"{watch.what}. Who and when: the trail's log group, pattern of the same name.",
        namespace=namespace,
        metric_name=watch.name,
        statistic="Sum",
        comparison_operator="GreaterThanOrEqualToThreshold",
        threshold=1,
        period=PERIOD_SECONDS,
        evaluation_periods=1,
        treat_missing_data="notBreaching",
        alarm_actions=[parts.topic_arn],
    )


def watches(parts: AccountParts) -> tuple[Watch, ...]:
    """Return what is watched; the sign-ins by patterns of the CIS AWS Foundations benchmark."""
    return (*_record_watches(parts), *_people_watches(parts))


def _record_watches(parts: AccountParts) -> tuple[Watch, ...]:
    document = parts.named(naming.SESSION_DOCUMENT)
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
                _is("requestParameters.bucketName", parts.audit_bucket),
                _named("PutBucket*", "DeleteBucket*", "PutObjectLockConfiguration"),
            ),
            what=f"Policy, lock or another setting of the bucket {parts.audit_bucket} was changed",
        ),
        Watch(
            name="key-changed",
            pattern=_where(
                _is("eventSource", "kms.amazonaws.com"),
                _is("requestParameters.keyId", f"*{parts.key.key_id}*"),
                _named("DisableKey", "DisableKeyRotation", "PutKeyPolicy", "ScheduleKeyDeletion"),
            ),
            what="The key of the record was disabled, is to be deleted, or has another policy",
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
