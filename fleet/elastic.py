"""Nodes that the head node itself has started, beyond the fleets' groups: Terraform's state knows none."""

from __future__ import annotations

import time

from fleet.errors import ActError
from fleet.ready import instances, is_elastic
from fleet.session import Session
from fleet.terraform_events import ProgressEvent, Report
from stacks import naming

_ALIVE = ["pending", "running", "stopping", "stopped"]
_GOING = [*_ALIVE, "shutting-down"]
_WAIT_SECONDS = 45 * 60.0
"""How long machines may take to end: as long as Terraform waits for those of a group."""
_POLL_SECONDS, _LONGEST_POLL_SECONDS = 0.25, 10.0
_AT_ONCE = 100
"""Machines that one call ends; EC2 takes more, and a smaller call fails for fewer reasons."""


def end_elastic(session: Session, report: Report) -> list[str]:
    """End the nodes that the head node has started, before their fleet is destroyed; return their ids.

    The head goes first, for it could start others meanwhile. While such a node stands, EC2 refuses to delete
    the fleet's placement group and the network's security group. Raises ActError where one does not end.
    """
    if _may_start_nodes(session):
        _stop_head(session, report)
    found = _alive(session)
    if found:
        count = f"{len(found)} node{'s' if len(found) > 1 else ''}"
        _tell(session, report, f"ending {count} that the head node had started")
    for start in range(0, len(found), _AT_ONCE):
        session.client("ec2").terminate_instances(InstanceIds=found[start : start + _AT_ONCE])
    _wait_gone(session, found)
    return found


def _may_start_nodes(session: Session) -> bool:
    """Return whether the head of the environment starts nodes, by its file or by those that stand."""
    spec = session.spec
    declared = any(fleet.max_nodes > fleet.nodes for fleet in spec.fleets.values())
    return (spec.scheduler.is_slurm and declared) or bool(_alive(session))


def _alive(session: Session) -> list[str]:
    return sorted(str(each["InstanceId"]) for each in instances(session, _ALIVE) if is_elastic(each))


def _stop_head(session: Session, report: Report) -> None:
    """Set the head's group to zero and wait until the head is gone; no group, no head."""
    group = naming.head_group(session.spec.name)
    client = session.client("autoscaling")
    if not client.describe_auto_scaling_groups(AutoScalingGroupNames=[group])["AutoScalingGroups"]:
        return
    heads = [
        str(each["InstanceId"])
        for each in instances(session, _ALIVE)
        if {"Key": naming.TAG_ROLE, "Value": naming.ROLE_HEAD} in each.get("Tags", ())
    ]
    _tell(session, report, "ending the head node first, which could start others")
    client.update_auto_scaling_group(AutoScalingGroupName=group, MinSize=0, DesiredCapacity=0)
    if heads:
        # The group would end it too, in its own time.
        session.client("ec2").terminate_instances(InstanceIds=heads)
        _wait_gone(session, heads)


def _wait_gone(session: Session, ids: list[str]) -> None:
    """Wait until the machines have ended; what EC2 no longer knows has."""
    deadline, pause = time.monotonic() + _WAIT_SECONDS, _POLL_SECONDS
    while ids and (left := {str(each["InstanceId"]) for each in instances(session, _GOING)} & set(ids)):
        if time.monotonic() > deadline:
            some = ", ".join(sorted(left)[:5])
            raise ActError(
                f"{len(left)} machines have not ended after {_WAIT_SECONDS / 60:g} minutes: {some}"
            )
        time.sleep(pause)
        pause = min(pause * 1.5, _LONGEST_POLL_SECONDS)


def _tell(session: Session, report: Report, text: str) -> None:
    report(ProgressEvent(kind="note", stack=naming.fleet_stack(session.spec.name), text=text))
