"""Auto Scaling groups: what keeps the head node alive, and what a GPU fleet is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NotRequired, TypedDict

from stacks import naming
from stacks.aws.generated import autoscaling, ec2
from stacks.aws.layer import Element
from stacks.cdk import Stack
from stacks.machines import Machine

HEAD_TIMEOUT = "15m"
"""How long Terraform waits for the head, without which nothing works."""
NO_WAIT = "0"
"""Terraform does not wait for a fleet's nodes; `fleet/ready.py` does. The provider fails at the first launch
that a zone has no capacity for; the new group is tainted, and the next apply ends the nodes that it has."""
DELETE_TIMEOUT = "45m"
"""How long Terraform waits for the machines of a group to end; the provider's 10 minutes are less than large
GPU instances take."""

SPOT_ALLOCATION = "price-capacity-optimized"
"""EC2's own recommendation: the pools least likely to be interrupted, and of these the cheapest."""


class Template(TypedDict):
    """Arguments of a group that say what its machines are started from; one of the two."""

    launch_template: NotRequired[autoscaling.AutoscalingGroupLaunchTemplate]
    mixed_instances_policy: NotRequired[autoscaling.AutoscalingGroupMixedInstancesPolicy]


@dataclass(frozen=True, kw_only=True)
class Size:
    """How many machines a group has."""

    smallest: int
    wanted: int
    largest: int


@dataclass(frozen=True)
class Spot:
    """A group whose machines are spot instances, all but the first few."""

    on_demand_base: int
    """How many, the first ones, are bought on demand."""


def add_group(
    stack: Stack,
    machine: Machine,
    template: ec2.LaunchTemplate,
    *,
    subnet_ids: Sequence[str],
    size: Size,
    after: Sequence[Element],
    waits: bool = False,
    spot: Spot | None = None,
    max_nodes: int = 0,
    idle: str = "",
) -> autoscaling.AutoscalingGroup:
    """Add the group of these machines; `after` is what they need at their start.

    With `waits` the apply fails where they do not come. `max_nodes` is what a fleet may grow to beyond its
    group, which the group's own tag then keeps for who reads it; 0 where the group holds all.
    `idle` is the policy on nodes without a run, on the group and on what it starts; "" for none.
    """
    return autoscaling.AutoscalingGroup(
        stack,
        machine.name,
        name=machine.title,
        vpc_zone_identifier=subnet_ids,
        min_size=size.smallest,
        desired_capacity=size.wanted,
        max_size=size.largest,
        health_check_type="EC2",
        wait_for_capacity_timeout=HEAD_TIMEOUT if waits else NO_WAIT,
        timeouts={"delete": DELETE_TIMEOUT},
        # Or machines would be ended for others in another zone, whatever runs on them.
        suspended_processes=["AZRebalance"],
        # The provider's default tags do not reach groups.
        tag=_tags(machine, max_nodes, idle),
        depends_on=after,
        **_template(template, spot),
    )


def _tags(machine: Machine, max_nodes: int, idle: str) -> list[autoscaling.AutoscalingGroupTag]:
    """Return the group's tags: those of its machines, and its own."""
    tags: list[autoscaling.AutoscalingGroupTag] = [
        {"key": key, "value": value, "propagate_at_launch": True}
        for key, value in sorted(machine.tags.items())
    ]
    if max_nodes:
        tags.append(
            {"key": naming.TAG_MAX_NODES, "value": str(max_nodes), "propagate_at_launch": False},
        )
    if idle:
        tags.append({"key": naming.TAG_IDLE, "value": idle, "propagate_at_launch": True})
    return tags


def _template(template: ec2.LaunchTemplate, spot: Spot | None) -> Template:
    """Return what the group's machines are started from.

    It is the template's newest version: a change of it takes effect on machines that are started after it.
    """
    if spot is None:
        return {"launch_template": {"id": template.id, "version": template.latest_version}}
    return {
        # Without capacity rebalancing, which ends a machine that might be interrupted before it is.
        "mixed_instances_policy": {
            "instances_distribution": {
                "on_demand_base_capacity": spot.on_demand_base,
                "on_demand_percentage_above_base_capacity": 0,
                "spot_allocation_strategy": SPOT_ALLOCATION,
            },
            "launch_template": {
                "launch_template_specification": {
                    "launch_template_id": template.id,
                    "version": template.latest_version,
                }
            },
        }
    }
