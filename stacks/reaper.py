"""The reaper in the account stack: the function that ends what has outlived its lease, and who calls it.

No environment can switch it off: nothing of it is in an environment's stacks, and it finds groups and
machines by their tags in every region. `reaper/` is the function itself.
"""

from __future__ import annotations

import json

from stacks import naming
from stacks.account_parts import AccountParts
from stacks.aws.generated import cloudwatch, iam, lambda_, logs, scheduler
from stacks.aws.layer import Ref
from stacks.policies import policy, statement
from stacks.reaper_archive import ARCHIVE_FILE, HANDLER
from stacks.reaper_caller import caller_role
from stacks.reaper_permissions import reaper_permissions
from stacks.reaper_watches import add_reaper_watches

RUNTIME = "python3.12"
MEMORY_MB = 256
TIMEOUT_SECONDS = 300
"""A look at every region takes seconds; Lambda's own default of 3 s would cut it off."""
LOOKED_PATTERN = "{ $.looked >= 1 }"
"""Finds the line that `reaper/handler.py` writes at the end of a call which looked at something."""
LOOKED_METRIC = "reaper-looked"
SCHEDULED_TIMES = {"look": "cron(5/10 * * * ? *)", "daily": "cron(0 9 * * ? *)"}
"""When it looks where leases are (not on the hour: leases end on one), and when it warns, in UTC. An idle
run is warned of for ten minutes at least before it is stopped, so that its warning is on record by then."""
_CALLS = {
    "look": "Every ten minutes: what was started again after its lease had ended, and what is idle",
    "daily": "Every morning: warnings of leases that end soon, and a look at every region",
}


def add_reaper(parts: AccountParts) -> None:
    """Add the function with its role and log group, its two schedules, the alarms and the watches on both."""
    log_group = _add_log_group(parts)
    function = _add_function(parts, log_group)
    _add_schedules(parts, function)
    _add_alarms(parts, function, log_group)
    add_reaper_watches(parts)


def _add_log_group(parts: AccountParts) -> logs.CloudwatchLogGroup:
    return logs.CloudwatchLogGroup(
        parts.stack,
        "reaper",
        name=naming.account_log_group(parts.account.organization, naming.REAPER),
        retention_in_days=parts.account.audit.log_days,
        kms_key_id=parts.key.arn,
    )


def _add_function(parts: AccountParts, log_group: logs.CloudwatchLogGroup) -> lambda_.LambdaFunction:
    """Add the function and the role that it acts with."""
    stack, title = parts.stack, parts.named(naming.REAPER)
    log_name = naming.account_log_group(parts.account.organization, naming.REAPER)
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
        stack,
        "reaper",
        name="fleetform",
        role=role.id,
        policy=policy(*reaper_permissions(parts, log_group.arn)),
    )
    return lambda_.LambdaFunction(
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
        environment={  # nothing secret; Lambda encrypts it with a key of its own
            "variables": {
                "LEDGER_BUCKET": parts.audit_bucket,
                "LEDGER_KEY": naming.ledger_key_alias(parts.account.organization),
                "ALERTS_TOPIC": parts.place.arn("sns", parts.named(naming.ALERTS_TOPIC)),
                "LEASE_MAX_DAYS": str(parts.account.lease.max_days),
            },
        },
        # Topic, log group and role policy by name: they wait for the key, and this takes as long as the key.
        logging_config={"log_format": "Text", "log_group": log_name},
    )


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


def _add_alarms(
    parts: AccountParts, function: lambda_.LambdaFunction, log_group: logs.CloudwatchLogGroup
) -> None:
    """Add the alarms: an end that does not come must not go unnoticed.

    That the function was called says little, for it may have been given another program; so the second one
    counts what the reaper itself writes when it has looked at a region.
    """
    title, namespace = parts.named(naming.REAPER), parts.named("record")
    logs.CloudwatchLogMetricFilter(
        parts.stack,
        "reaper_looked",
        name=f"{title}-looked",
        log_group_name=log_group.name,
        pattern=LOOKED_PATTERN,
        metric_transformation={"name": LOOKED_METRIC, "namespace": namespace, "value": "1"},
    )
    cloudwatch.CloudwatchMetricAlarm(
        parts.stack,
        "reaper_failed",
        alarm_name=f"{title}-failed",
        alarm_description="The reaper could not end or warn of a lease",
        namespace="AWS/Lambda",
        metric_name="Errors",
        dimensions={"FunctionName": function.function_name},
        statistic="Sum",
        period=3600,
        evaluation_periods=1,
        comparison_operator="GreaterThanThreshold",
        threshold=0,
        treat_missing_data="notBreaching",
        alarm_actions=[parts.topic_arn],
    )
    cloudwatch.CloudwatchMetricAlarm(
        parts.stack,
        "reaper_silent",
        alarm_name=f"{title}-silent",
        alarm_description="The reaper has looked at no region for two hours",
        namespace=namespace,
        metric_name=LOOKED_METRIC,
        statistic="Sum",
        period=3600,
        evaluation_periods=2,
        comparison_operator="LessThanThreshold",
        threshold=1,
        treat_missing_data="breaching",
        alarm_actions=[parts.topic_arn],
    )
