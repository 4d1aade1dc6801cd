"""The reaper in the account stack: the function that ends what has outlived its lease, and who calls it.

No environment can switch it off: nothing of it is in an environment's stacks, and it finds groups and
machines by their tags in every region. `reaper/` is the function itself.
"""

from __future__ import annotations

import json
from typing import Any

from stacks import naming
from stacks.account_parts import AccountParts
from stacks.aws.generated import cloudwatch, iam, lambda_, logs, scheduler
from stacks.aws.layer import Ref
from stacks.policies import policy, statement
from stacks.reaper_archive import ARCHIVE_FILE, HANDLER
from stacks.reaper_caller import caller_role

RUNTIME = "python3.12"
MEMORY_MB = 256
TIMEOUT_SECONDS = 300
"""A look at every region takes seconds; Lambda's own default of 3 s would cut it off."""
SCHEDULED_TIMES = {"look": "cron(30 * * * ? *)", "daily": "cron(0 9 * * ? *)"}
"""When it looks where leases are (not on the hour: leases end on one), and when it warns, in UTC."""
_CALLS = {
    "look": "Every hour: what was started again after its lease had ended",
    "daily": "Every morning: warnings of leases that end soon, and a look at every region",
}


def add_reaper(parts: AccountParts) -> None:
    """Add the function with its role and log group, its two schedules, and the alarms on both."""
    stack, title = parts.stack, parts.named(naming.REAPER)
    log_name = naming.account_log_group(parts.account.organization, naming.REAPER)
    log_group = logs.CloudwatchLogGroup(
        stack,
        "reaper",
        name=log_name,
        retention_in_days=parts.account.audit.log_days,
        kms_key_id=parts.key.arn,
    )
    role = iam.IamRole(
        stack,
        "reaper",
        name=title,
        description="Ends the machines of environments whose lease is over",
        assume_role_policy=policy(
            statement("Lambda", principal={"Service": "lambda.amazonaws.com"}, actions=["sts:AssumeRole"])
        ),
    )
    iam.IamRolePolicy(
        stack, "reaper", name="fleetform", role=role.id, policy=policy(*_permissions(parts, log_group.arn))
    )
    function = lambda_.LambdaFunction(
        stack,
        "reaper",
        function_name=title,
        description="Ends the machines of environments whose lease is over, and warns before",
        role=role.arn,
        filename=ARCHIVE_FILE,
        # Terraform's own function, so that the stack's text does not change with every line of the program.
        source_code_hash=Ref(f'${{filebase64sha256("{ARCHIVE_FILE}")}}'),
        handler=HANDLER,
        runtime=RUNTIME,
        architectures=["arm64"],
        memory_size=MEMORY_MB,
        timeout=TIMEOUT_SECONDS,
        environment={
            # Nothing secret; Lambda encrypts it with a key of its own.
            "variables": {
                "LEDGER_BUCKET": parts.audit_bucket,
                "ALERTS_TOPIC": parts.place.arn("sns", parts.named(naming.ALERTS_TOPIC)),
            },
        },
        # Topic, log group and role policy by name: they wait for the key, and this takes as long as the key.
        logging_config={"log_format": "Text", "log_group": log_name},
    )
    _add_schedules(parts, function)
    _add_alarms(parts, function)


def _permissions(parts: AccountParts, log_group_arn: str) -> list[dict[str, Any]]:
    """Return what the reaper may do: look everywhere, end what has our tag, and tell of it."""
    place, ledger = parts.place, parts.place.bucket_arn(parts.audit_bucket)
    anywhere = f"arn:{place.partition}"
    ours = {"Null": {f"aws:ResourceTag/{naming.TAG_ENVIRONMENT}": "false"}}
    return [
        # These cannot be narrowed to single resources.
        statement(
            "Look",
            actions=[
                "autoscaling:DescribeAutoScalingGroups",
                "ec2:DescribeInstances",
                "ec2:DescribeRegions",
                "fsx:DescribeFileSystems",
                "scheduler:ListSchedules",
            ],
            resources=["*"],
        ),
        statement(
            "ReadLeases",
            actions=["scheduler:GetSchedule"],
            resources=[place.arn("scheduler", f"schedule/{naming.LEASE_PREFIX}*/{naming.LEASE_PREFIX}*")],
        ),
        statement(
            "Rest",
            actions=[
                "autoscaling:SetInstanceProtection",
                "autoscaling:SuspendProcesses",
                "autoscaling:UpdateAutoScalingGroup",
            ],
            resources=[
                f"{anywhere}:autoscaling:*:{place.account_id}:autoScalingGroup:*:autoScalingGroupName/*"
            ],
            conditions=ours,
        ),
        statement(
            "End",
            actions=["ec2:TerminateInstances"],
            resources=[f"{anywhere}:ec2:*:{place.account_id}:instance/*"],
            conditions=ours,
        ),
        statement(
            "FindEndOfLedger",
            actions=["s3:ListBucket"],
            resources=[ledger],
            conditions={"StringLike": {"s3:prefix": f"{naming.LEDGER_PREFIX}*"}},
        ),
        statement(
            "WriteLedger",
            actions=["s3:GetObject", "s3:PutObject"],
            resources=[f"{ledger}/{naming.LEDGER_PREFIX}*"],
        ),
        statement(
            "Tell",
            actions=["sns:Publish"],
            resources=[parts.topic_arn, place.arn("sns", f"{naming.LEASE_PREFIX}*")],
        ),
        statement(
            "UseKey",
            actions=["kms:Decrypt", "kms:GenerateDataKey*"],
            resources=[parts.key.arn],
        ),
        statement(
            "Log", actions=["logs:CreateLogStream", "logs:PutLogEvents"], resources=[f"{log_group_arn}:*"]
        ),
    ]


def _add_schedules(parts: AccountParts, function: lambda_.LambdaFunction) -> None:
    title = parts.named(naming.REAPER)
    group = scheduler.SchedulerScheduleGroup(parts.stack, "reaper", name=title)
    role = caller_role(
        parts.stack, "reaper_schedules", f"{title}-schedules", parts.place, function.arn, title
    )
    for act, when in SCHEDULED_TIMES.items():
        scheduler.SchedulerSchedule(
            parts.stack,
            f"reaper_{act}",
            name=f"{title}-{act}",
            group_name=group.name,
            description=_CALLS[act],
            schedule_expression=when,
            schedule_expression_timezone="UTC",
            flexible_time_window={"mode": "OFF"},
            target={
                "arn": function.arn,
                "role_arn": role.arn,
                "input": json.dumps({"act": act}, separators=(",", ":")),
            },
        )


def _add_alarms(parts: AccountParts, function: lambda_.LambdaFunction) -> None:
    """Add the alarms: an end that does not come must not go unnoticed."""
    alarms = {
        "failed": ("Errors", "GreaterThanThreshold", 0, "notBreaching", "could not end or warn of a lease"),
        "silent": ("Invocations", "LessThanThreshold", 1, "breaching", "was not called for two hours"),
    }
    for name, (metric, comparison, threshold, missing, what) in alarms.items():
        cloudwatch.CloudwatchMetricAlarm(
            parts.stack,
            f"reaper_{name}",
            alarm_name=f"{parts.named(naming.REAPER)}-{name}",
            alarm_description=f"The reaper {what}",
            namespace="AWS/Lambda",
            metric_name=metric,
            dimensions={"FunctionName": function.function_name},
            statistic="Sum",
            period=3600,
            evaluation_periods=2 if name == "silent" else 1,
            comparison_operator=comparison,
            threshold=threshold,
            treat_missing_data=missing,
            alarm_actions=[parts.topic_arn],
        )
