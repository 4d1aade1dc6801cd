"""The lease in the base stack: the schedule that ends it, and the topic of who is told.

All of it stands in the account's region, where the reaper is: nothing that AWS documents lets a schedule call
a Lambda function of another region. It is applied beside the account's stack and needs nothing of that to be
there yet: a schedule's target is looked up when it is called.
"""

from __future__ import annotations

import datetime
import json

from stacks import naming
from stacks.account import AccountSpec
from stacks.aws.generated import scheduler, sns
from stacks.boundary import boundary_arn
from stacks.cdk import Stack
from stacks.environment import EnvironmentSpec
from stacks.place import Place
from stacks.reaper_caller import caller_role

TOPIC_KEY = "alias/aws/sns"
"""AWS's own key: whoever may publish to the topic may use it, and there is one in every region."""


def add_lease(stack: Stack, account: AccountSpec, spec: EnvironmentSpec, place: Place) -> None:
    """Add the environment's topic, its schedule group, and the schedule that calls the reaper at the end.

    Warnings have no schedule of their own: AWS refuses a one-time schedule in the past, and the day of a
    warning may have passed when an environment is built. The reaper warns every morning of what is due.
    """
    provider = stack.provider_in(account.region)
    home = Place(partition=place.partition, region=account.region, account_id=place.account_id)
    name = naming.lease_name(spec.name, spec.region)
    topic = sns.SnsTopic(stack, "lease", name=name, kms_master_key_id=TOPIC_KEY, provider=provider)
    for number, email in enumerate(spec.alerts.emails):
        sns.SnsTopicSubscription(
            stack, f"lease_{number}", topic_arn=topic.arn, protocol="email", endpoint=email, provider=provider
        )
    group = scheduler.SchedulerScheduleGroup(stack, "lease", name=name, provider=provider)
    function = home.arn("lambda", f"function:{naming.account_name(account.organization, naming.REAPER)}")
    role = caller_role(
        stack,
        "lease",
        naming.lease_role(spec.name, spec.region),
        home,
        function,
        name,
        boundary_arn(account.organization, place.partition, place.account_id),
    )
    about = {
        "act": "end",
        "environment": spec.name,
        "region": spec.region,
        "topic": topic.arn,
        "warn_days": sorted(account.lease.warn_days),
    }
    scheduler.SchedulerSchedule(
        stack,
        "lease",
        name=name,
        group_name=group.name,
        description=f"The end of the lease of {spec.name}: the last day is {spec.lease_ends}",
        schedule_expression=f"at({ends_at(spec)})",
        schedule_expression_timezone="UTC",
        flexible_time_window={"mode": "OFF"},
        target={
            "arn": function,
            "role_arn": role.arn,
            "input": json.dumps(about, separators=(",", ":")),
        },
        provider=provider,
    )


def ends_at(spec: EnvironmentSpec) -> str:
    """Return the moment that the lease ends, in UTC as EventBridge Scheduler writes it."""
    return spec.lease_until.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S")
