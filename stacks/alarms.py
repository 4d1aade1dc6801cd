"""Who hears what: the account's topic of alerts, and an alarm for each change that concerns the record.

The alarms look at the trail's log group, where the events of every region and of the global services (IAM,
the sign-in) come together; EventBridge would be minutes faster, but would hear only its own region. An alarm
tells that something happened, and the trail who did it.
"""

from __future__ import annotations

from stacks import naming
from stacks.account_parts import AccountParts
from stacks.aws.generated import cloudwatch, logs, sns
from stacks.aws.layer import Ref
from stacks.policies import policy, statement
from stacks.watches import Watch, watches

PERIOD_SECONDS = 300
"""How often an alarm counts; the trail itself comes about five minutes late."""
SILENT_SECONDS = 3600
"""How long the trail may have nothing to say; a call, if only a service's own, comes every few minutes."""


def add_topic(parts: AccountParts) -> None:
    """Add the topic of alerts, encrypted, and a subscription for each address of the account's file."""
    topic = sns.SnsTopic(
        parts.stack, "alerts", name=parts.named(naming.ALERTS_TOPIC), kms_master_key_id=parts.key.arn
    )
    sns.SnsTopicPolicy(parts.stack, "alerts", arn=topic.arn, policy=_topic_policy(parts, topic))
    for index, address in enumerate(parts.account.alerts.emails):
        sns.SnsTopicSubscription(
            parts.stack, f"alerts_{index}", topic_arn=topic.arn, protocol="email", endpoint=address
        )
    parts.stack.output("alerts_topic", topic.arn, "Topic of what happens to the account")


def _topic_policy(parts: AccountParts, topic: sns.SnsTopic) -> str:
    """Return the policy: the account, whose principals need a permission of their own as well, and alarms."""
    return policy(
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
                "ArnLike": {"aws:SourceArn": parts.place.arn("cloudwatch", "alarm:*")},
                "StringEquals": {"aws:SourceAccount": parts.place.account_id},
            },
        ),
    )


def add_alarms(parts: AccountParts, trail_group: Ref) -> None:
    """Add a metric filter on the trail's log group and an alarm for each watch."""
    for watch in watches(parts):
        add_watch(parts, trail_group, watch)
    _add_silence(parts, trail_group)


def _add_silence(parts: AccountParts, trail_group: Ref) -> None:
    """Add the alarm on a trail that delivers nothing, by whatever means: the others see nothing then."""
    title = parts.named("trail-silent")
    cloudwatch.CloudwatchMetricAlarm(
        parts.stack,
        "trail_silent",
        alarm_name=title,
        alarm_description="Nothing has come from the trail for an hour, and no other alarm looks at anything",
        namespace="AWS/Logs",
        metric_name="IncomingLogEvents",
        dimensions={"LogGroupName": trail_group},
        statistic="Sum",
        comparison_operator="LessThanThreshold",
        threshold=1,
        period=SILENT_SECONDS,
        evaluation_periods=1,
        # A group that takes nothing in has no such metric at all.
        treat_missing_data="breaching",
        alarm_actions=[parts.topic_arn],
    )


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
