"""What the machines of an environment are told of idleness, and what its head may do about it."""

from __future__ import annotations

import json
from typing import Any

from stacks import naming
from stacks.aws.generated import s3
from stacks.aws.layer import literal
from stacks.base_outputs import BaseOutputs
from stacks.cdk import Stack
from stacks.environment import EnvironmentSpec
from stacks.place import Place
from stacks.policies import statement

POLICY_KEY = "node/idle.json"
"""Object of the artifact bucket with the policy; node/idle.py reads it."""
VERSION = 1


def policy_text(spec: EnvironmentSpec) -> str:
    """Return the policy as the head reads it."""
    idle = spec.idle
    told = {
        "version": VERSION,
        "step_minutes": idle.step_minutes,
        "start_minutes": idle.start_minutes,
        "grace_minutes": idle.grace_minutes,
        "without_steps": idle.without_steps,
        "marks_nodes": bool(idle.node_minutes),
        "groups": {
            name: {"name": naming.fleet_group(spec.name, name), "nodes": fleet.nodes}
            for name, fleet in spec.fleets.items()
        },
    }
    return json.dumps(told, indent=2, sort_keys=True)


def add_idle_policy(stack: Stack, spec: EnvironmentSpec, base: BaseOutputs) -> None:
    """Add the policy to the fleet stack; nothing waits for it, for a head reads it once it has a run."""
    s3.S3Object(
        stack,
        "idle_policy",
        bucket=base.artifact_bucket,
        key=POLICY_KEY,
        content=literal(policy_text(spec)),
        content_type="application/json",
    )


def idle_statements(spec: EnvironmentSpec, place: Place) -> list[dict[str, Any]]:
    """Return the head's rights: to say on its nodes what is idle, and to start again what was set to zero.

    To set a fleet to zero is the account's reaper's, which has the ledger.
    """
    own = {f"aws:ResourceTag/{naming.TAG_ENVIRONMENT}": spec.name}
    nodes = {**own, f"aws:ResourceTag/{naming.TAG_ROLE}": naming.ROLE_NODE}
    keys = [naming.TAG_IDLE_RUN, naming.TAG_WORK]
    told = [
        statement(
            "TellOfIdleness",
            actions=["ec2:CreateTags"],
            resources=[place.arn("ec2", "instance/*")],
            conditions={"StringEquals": nodes, "ForAllValues:StringEquals": {"aws:TagKeys": keys}},
        )
    ]
    if not spec.idle.node_minutes:
        return told
    groups = place.arn("autoscaling", "autoScalingGroup:*:autoScalingGroupName/*")
    return [
        *told,
        # This cannot be narrowed to single resources.
        statement("SeeGroups", actions=["autoscaling:DescribeAutoScalingGroups"], resources=["*"]),
        statement(
            "WakeFleets",
            actions=["autoscaling:SetDesiredCapacity"],
            resources=[groups],
            conditions={"StringEquals": own},
        ),
    ]
