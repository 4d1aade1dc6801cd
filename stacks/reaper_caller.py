"""Who may call the reaper: the role of a group of schedules, and nobody else."""

from __future__ import annotations

from stacks.aws.generated import iam
from stacks.cdk import Stack
from stacks.place import Place
from stacks.policies import policy, statement


def caller_role(
    stack: Stack, name: str, title: str, place: Place, function_arn: str, group: str, boundary: str = ""
) -> iam.IamRole:
    """Add a role that the schedules of one group take on, and which may call the reaper and nothing else.

    `boundary` is the ARN of its permission boundary, "" for none.
    """
    trust = statement(
        "Scheduler",
        principal={"Service": "scheduler.amazonaws.com"},
        actions=["sts:AssumeRole"],
        # The group's and not the schedule's ARN is what the service hands over (Scheduler's guide,
        # "Confused deputy prevention").
        conditions={
            "StringEquals": {
                "aws:SourceAccount": place.account_id,
                "aws:SourceArn": place.arn("scheduler", f"schedule-group/{group}"),
            }
        },
    )
    arguments: iam.IamRoleArguments = {
        "name": title,
        "description": "Calls the reaper",
        "assume_role_policy": policy(trust),
    }
    if boundary:
        arguments["permissions_boundary"] = boundary
    role = iam.IamRole(stack, name, **arguments)
    iam.IamRolePolicy(
        stack,
        name,
        name="fleetform",
        role=role.id,
        policy=policy(statement("CallReaper", actions=["lambda:InvokeFunction"], resources=[function_arn])),
    )
    return role
