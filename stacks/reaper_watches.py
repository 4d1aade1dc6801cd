"""What keeps reaper and leases as they are: no role of people may change them, and a change is heard of."""

from __future__ import annotations

from typing import Any

from stacks import naming
from stacks.account_parts import AccountParts
from stacks.alarms import add_watch
from stacks.aws.layer import Ref
from stacks.place import Place
from stacks.policies import statement
from stacks.watches import Watch


def keep_reaper(organization: str, place: Place) -> list[dict[str, Any]]:
    """Return the statements for the deny list: the function and its schedules, and the ends of leases.

    Only the deployer changes the schedule of an environment, as `up`, `lease extend` and `down` have to.
    """
    reaper = naming.account_name(organization, naming.REAPER)
    deployer = naming.account_name(organization, naming.ROLE_DEPLOYER)
    lease = f"{naming.LEASE_PREFIX}*"
    changes = ["scheduler:Delete*", "scheduler:Update*"]
    return [
        statement(
            "KeepReaper",
            effect="Deny",
            actions=["lambda:Delete*", "lambda:Put*", "lambda:Update*", *changes],
            resources=[
                f"{place.arn('lambda', f'function:{reaper}')}*",
                place.arn("scheduler", f"schedule-group/{reaper}"),
                place.arn("scheduler", f"schedule/{reaper}/*"),
            ],
        ),
        statement(
            "KeepLeases",
            effect="Deny",
            actions=changes,
            resources=[
                place.arn("scheduler", f"schedule-group/{lease}"),
                place.arn("scheduler", f"schedule/{lease}"),
            ],
            conditions={
                "ArnNotEquals": {
                    "aws:PrincipalArn": f"arn:{place.partition}:iam::{place.account_id}:role/{deployer}"
                }
            },
        ),
    ]


def reaper_watches(parts: AccountParts) -> tuple[Watch, ...]:
    """Return what is watched in the trail; Lambda's events end in the date of their API's version."""
    reaper = parts.named(naming.REAPER)
    changed = '($.eventName = "Delete*" || $.eventName = "Put*" || $.eventName = "Update*")'
    scheduled = '$.eventSource = "scheduler.amazonaws.com"'

    def of(group: str) -> str:
        """Return a schedule of the group by its request, or the group, which is told by its name alone."""
        return f'($.requestParameters.groupName = "{group}" || $.requestParameters.name = "{group}")'

    return (
        Watch(
            name="reaper-changed",
            pattern=f'{{ ($.eventSource = "lambda.amazonaws.com" && {changed} '
            f'&& $.requestParameters.functionName = "*{reaper}*") '
            f"|| ({scheduled} && {changed} && {of(reaper)}) }}",
            what="The reaper or one of its schedules was changed or deleted, or somebody tried to",
        ),
        Watch(
            name="leases-changed",
            pattern=f"{{ {scheduled} && {changed} && {of(naming.LEASE_PREFIX + '*')} }}",
            what="An environment's end was moved or taken away: by `lease extend`, `up`, `down`, or by hand",
        ),
    )


def add_reaper_watches(parts: AccountParts) -> None:
    """Add the alarms on changes, where there is a trail to see them in."""
    if parts.account.audit.trail:
        for watch in reaper_watches(parts):
            add_watch(parts, Ref("${aws_cloudwatch_log_group.trail.name}"), watch)
