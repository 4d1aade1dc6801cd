"""The lease's own things, in the account's region wherever the environment is: schedule, its group, topic."""

from __future__ import annotations

from collections.abc import Iterator

from fleet.sweepers.things import Look, Sweeper, Thing, ask, tags_of
from stacks import naming


def schedule_groups(look: Look) -> Iterator[Thing]:
    """Yield the group of the environment's schedule; its schedules are gone when it is."""
    scheduler = look.client("scheduler", look.home_region)
    name = naming.lease_name(look.environment, look.region)
    group = ask(scheduler.get_schedule_group, Name=name)
    if group is None:
        return
    tags = tags_of(ask(scheduler.list_tags_for_resource, ResourceArn=group["Arn"]) or {})
    if look.owns(name, tags, (name,)):
        stack = tags.get(naming.TAG_STACK, "")
        yield Thing(kind="schedule group", id=name, stack=stack, created=group.get("CreationDate"))


def topics(look: Look) -> Iterator[Thing]:
    """Yield the topic of the environment's people."""
    name = naming.lease_name(look.environment, look.region)
    sns = look.client("sns", look.home_region)
    for page in sns.get_paginator("list_topics").paginate():
        for arn in (each["TopicArn"] for each in page["Topics"]):
            if arn.rpartition(":")[2] != name:
                continue
            tags = tags_of(ask(sns.list_tags_for_resource, ResourceArn=arn) or {})
            if look.owns(name, tags, (name,)):
                yield Thing(kind="SNS topic", id=arn, name=name, stack=tags.get(naming.TAG_STACK, ""))


SWEEPERS = (
    Sweeper(title="schedule groups", covers=("scheduler:schedule-group",), look=schedule_groups),
    # The tagging API gives an ARN of a topic no type.
    Sweeper(title="SNS topics", covers=("sns:",), look=topics, complete=False),
)
