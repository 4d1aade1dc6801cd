"""Machines that hold what they run in: a placement group, a group of Auto Scaling, a disk, a subnet."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Any

from fleet.holders.holder import Holder, Teardown
from fleet.listings.things import Thing, ask
from fleet.terraform_state import StateResource

_ENDING = ("shutting-down", "terminated")
_THERE = ["pending", "running", "stopping", "stopped", "shutting-down"]
_FILTERS = {
    "aws_placement_group": "placement-group-name",
    "aws_autoscaling_group": "tag:aws:autoscaling:groupName",
}
"""What holds one of these -> EC2's filter that finds its machines."""


def on_machines(teardown: Teardown, resource: StateResource) -> Iterator[Holder]:
    """Yield the machines in a placement group or a scaling group, and what protects them."""
    if resource.kind == "aws_autoscaling_group":
        yield from _protected(teardown, resource)
    by = {"Name": _FILTERS[resource.kind], "Values": [resource.id]}
    there = {"Name": "instance-state-name", "Values": _THERE}
    for each in listed_machines(teardown, [by, there]):
        yield machine_holder(teardown, each, f"{resource.address} ({resource.id})")


def on_disk(teardown: Teardown, resource: StateResource) -> Iterator[Holder]:
    """Yield the machines that a disk is attached to."""
    answer = ask(teardown.client("ec2").describe_volumes, VolumeIds=[resource.id]) or {"Volumes": ()}
    holding = {str(used["InstanceId"]) for each in answer["Volumes"] for used in each.get("Attachments", ())}
    by = {"Name": "instance-id", "Values": sorted(holding)}
    for each in listed_machines(teardown, [by]) if holding else ():
        yield machine_holder(teardown, each, f"{resource.address} ({resource.id})")


def listed_machines(teardown: Teardown, filters: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Yield the machines that EC2 lists with these filters."""
    for reservation in teardown.look.pages(
        "ec2", "describe_instances", "Reservations", Filters=list(filters)
    ):
        yield from reservation["Instances"]


def machine_holder(teardown: Teardown, machine: Mapping[str, Any], on: str) -> Holder:
    """Return what becomes of a machine: it is ending, goes with the teardown, or is somebody's own."""
    identity, state = str(machine["InstanceId"]), machine["State"]["Name"]
    about = partial(Holder, kind="EC2 instance", id=identity, on=on)
    if state in _ENDING:
        return about(why="it is shutting down", fate="wait")
    if teardown.goes(machine):
        why = f"{state}, and of no group that would end it"
        return about(why=why, fate="clear", clear=teardown.removal(Thing(kind="EC2 instance", id=identity)))
    return about(why=f"{state}, and no stack's that goes: end it or move it, then repeat", fate="stop")


def _protected(teardown: Teardown, resource: StateResource) -> Iterator[Holder]:
    """Yield the machines that the group may not end, for somebody protected them from its scaling in."""
    scaling = teardown.client("autoscaling")
    groups = scaling.describe_auto_scaling_groups(AutoScalingGroupNames=[resource.id])["AutoScalingGroups"]
    for each in (machine for group in groups for machine in group.get("Instances", ())):
        if each.get("ProtectedFromScaleIn"):
            identity = str(each["InstanceId"])
            yield Holder(
                kind="protection",
                id=identity,
                on=f"{resource.address} ({resource.id})",
                why="the group may not end the machine",
                fate="clear",
                clear=partial(
                    scaling.set_instance_protection,
                    InstanceIds=[identity],
                    AutoScalingGroupName=resource.id,
                    ProtectedFromScaleIn=False,
                ),
            )
