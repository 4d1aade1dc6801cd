"""Auto Scaling groups: what keeps the head node alive, and what a GPU fleet is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from stacks.aws.generated import autoscaling, ec2
from stacks.aws.layer import Element
from stacks.cdk import Stack
from stacks.machines import Machine

CAPACITY_TIMEOUT = "15m"
"""How long Terraform waits for the machines; that a zone has no capacity is told by the group at once."""


@dataclass(frozen=True, kw_only=True)
class Size:
    """How many machines a group has."""

    smallest: int
    wanted: int
    largest: int


def add_group(
    stack: Stack,
    machine: Machine,
    template: ec2.LaunchTemplate,
    *,
    subnet_ids: Sequence[str],
    size: Size,
    after: Sequence[Element],
) -> autoscaling.AutoscalingGroup:
    """Add the group of these machines; `after` is what they need at their start."""
    return autoscaling.AutoscalingGroup(
        stack,
        machine.name,
        name=machine.title,
        vpc_zone_identifier=subnet_ids,
        min_size=size.smallest,
        desired_capacity=size.wanted,
        max_size=size.largest,
        health_check_type="EC2",
        wait_for_capacity_timeout=CAPACITY_TIMEOUT,
        # The newest version: a change of the template takes effect on machines that are started after it.
        launch_template={"id": template.id, "version": template.latest_version},
        # The provider's default tags do not reach groups.
        tag=[
            {"key": key, "value": value, "propagate_at_launch": True}
            for key, value in sorted(machine.tags.items())
        ],
        depends_on=after,
    )
