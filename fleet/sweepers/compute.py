"""Machines and what they are made from: instances, disks, snapshots, templates, groups."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from fleet.sweepers.things import Look, Sweeper, Thing, ask, instance_price, name_of, price, stack_of, tags_of
from stacks import naming

_ALIVE = ["pending", "running", "stopping", "stopped"]
"""`shutting-down` and `terminated` cost nothing and vanish by themselves."""


def instances(look: Look) -> Iterator[Thing]:
    """Yield the instances that are not terminated; a stopped one costs its disks only."""
    filters = [*look.tag_filter(), {"Name": "instance-state-name", "Values": _ALIVE}]
    for reservation in look.pages("ec2", "describe_instances", "Reservations", Filters=filters):
        for each in reservation["Instances"]:
            state, kind = each["State"]["Name"], each["InstanceType"]
            yield Thing(
                kind="EC2 instance",
                id=each["InstanceId"],
                name=name_of(each),
                stack=stack_of(each),
                usd_per_hour=instance_price(kind) if state in ("pending", "running") else 0.0,
                created=each.get("LaunchTime"),
                note=f"{kind}, {state}",
            )


def volumes(look: Look) -> Iterator[Thing]:
    """Yield the disks."""
    for each in look.pages("ec2", "describe_volumes", "Volumes", Filters=look.tag_filter()):
        yield Thing(
            kind="EBS volume",
            id=each["VolumeId"],
            name=name_of(each),
            stack=stack_of(each),
            usd_per_hour=price("ebs_gp3", each["Size"]),
            created=each.get("CreateTime"),
            note=f"{each['Size']} GiB {each.get('VolumeType', '')}, {each['State']}",
        )


def snapshots(look: Look) -> Iterator[Thing]:
    """Yield the snapshots of disks; the price is that of a full one."""
    filters = look.tag_filter()
    for each in look.pages("ec2", "describe_snapshots", "Snapshots", OwnerIds=["self"], Filters=filters):
        yield Thing(
            kind="EBS snapshot",
            id=each["SnapshotId"],
            name=name_of(each),
            stack=stack_of(each),
            usd_per_hour=price("ebs_snapshot", each["VolumeSize"]),
            created=each.get("StartTime"),
        )


def launch_templates(look: Look) -> Iterator[Thing]:
    """Yield the launch templates."""
    filters = look.tag_filter()
    for each in look.pages("ec2", "describe_launch_templates", "LaunchTemplates", Filters=filters):
        yield Thing(
            kind="launch template",
            id=each["LaunchTemplateId"],
            name=each["LaunchTemplateName"],
            stack=stack_of(each),
            created=each.get("CreateTime"),
        )


def placement_groups(look: Look) -> Iterator[Thing]:
    """Yield the placement groups."""
    answer = look.client("ec2").describe_placement_groups(Filters=look.tag_filter())
    for each in answer["PlacementGroups"]:
        if each.get("State") != "deleted":
            yield Thing(
                kind="placement group",
                id=each.get("GroupId", each["GroupName"]),
                name=each["GroupName"],
                stack=stack_of(each),
            )


def scaling_groups(look: Look) -> Iterator[Thing]:
    """Yield the Auto Scaling groups; their instances are listed by themselves."""
    fleets = (naming.fleet_group(look.environment, fleet) for fleet in look.fleets)
    made = (naming.head_group(look.environment), *fleets)
    for each in look.pages("autoscaling", "describe_auto_scaling_groups", "AutoScalingGroups"):
        if look.owns(each["AutoScalingGroupName"], tags_of(each), made):
            yield Thing(
                kind="Auto Scaling group",
                id=each["AutoScalingGroupName"],
                stack=stack_of(each),
                created=each.get("CreatedTime"),
                note=f"{len(each.get('Instances', []))} instances",
            )


def load_balancers(look: Look) -> Iterator[Thing]:
    """Yield the load balancers with the environment's tag; our stacks make none."""
    found = {
        each["LoadBalancerArn"]: each
        for each in look.pages("elbv2", "describe_load_balancers", "LoadBalancers")
    }
    for described in balancer_tags(look, list(found)):
        each = found[described["ResourceArn"]]
        if look.owns(each["LoadBalancerName"], tags_of(described)):
            yield Thing(
                kind="load balancer",
                id=each["LoadBalancerArn"],
                name=each["LoadBalancerName"],
                stack=stack_of(described),
                usd_per_hour=price("load_balancer"),
                created=each.get("CreatedTime"),
            )


def balancer_tags(look: Look, arns: list[str], at_once: int = 20) -> Iterator[Mapping[str, Any]]:
    """Yield each load balancer's description of tags; the API takes 20 at a time.

    It refuses all of them where one is gone, so they are then asked about one by one.
    """
    for start in range(0, len(arns), at_once):
        some = arns[start : start + at_once]
        answer = ask(look.client("elbv2").describe_tags, ResourceArns=some)
        if answer is not None:
            yield from answer["TagDescriptions"]
        elif at_once > 1:
            yield from balancer_tags(look, some, at_once=1)


SWEEPERS = (
    Sweeper(title="EC2 instances", covers=("ec2:instance",), look=instances),
    Sweeper(title="EBS volumes", covers=("ec2:volume",), look=volumes),
    Sweeper(title="EBS snapshots", covers=("ec2:snapshot",), look=snapshots),
    Sweeper(title="launch templates", covers=("ec2:launch-template",), look=launch_templates),
    Sweeper(title="placement groups", covers=("ec2:placement-group",), look=placement_groups),
    Sweeper(title="Auto Scaling groups", covers=("autoscaling:autoScalingGroup",), look=scaling_groups),
    Sweeper(title="load balancers", covers=("elasticloadbalancing:loadbalancer",), look=load_balancers),
)
