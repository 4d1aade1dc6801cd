"""Nodes that the head node itself has started, beyond the fleets' groups: Terraform's state knows none."""

from __future__ import annotations

import time
from collections.abc import Collection

from fleet import aws
from fleet.cluster_files import NODES, QUEUE, STATS
from fleet.errors import ActError
from fleet.instances import instances, is_elastic, tag_of
from fleet.run_store import MISSING, open_runs
from fleet.session import Session
from fleet.standing_scheduler import grows_as_it_stands
from fleet.terraform_events import ProgressEvent, Report
from stacks import naming

_ALIVE = ["pending", "running", "stopping", "stopped"]
_GOING = [*_ALIVE, "shutting-down"]
_WAIT_SECONDS = 45 * 60.0
"""How long machines may take to end: as long as Terraform waits for those of a group."""
_POLL_SECONDS, _LONGEST_POLL_SECONDS = 0.25, 10.0
_LOOK_SECONDS, _IDLE_LOOKS, _MOST_LOOKS = 3.0, 2, 20
"""Behind a head that ran: pause before each further look, empty ones in a row that suffice, and most."""
_AT_ONCE = 100
"""Machines that one call ends; EC2 takes more, and a smaller call fails for fewer reasons."""


def end_elastic(session: Session, report: Report) -> list[str]:
    """End the nodes that the head node has started, before their fleet is destroyed; return their ids.

    The head goes first, for it could start others meanwhile. While such a node stands, EC2 refuses to delete
    the fleet's placement group and the network's security group. Raises ActError where one does not end.
    """
    stopped = _may_start_nodes(session) and _stop_head(session, report)
    ended = _end_those_that_stand(session, report)
    # EC2 lists late what was started last, so one empty look is not enough behind a head that ran.
    idle = 0 if stopped else _IDLE_LOOKS
    for _ in range(_MOST_LOOKS):
        if idle >= _IDLE_LOOKS:
            break
        time.sleep(_LOOK_SECONDS)
        more = _end_those_that_stand(session, report)
        ended += more
        idle = 0 if more else idle + 1
    return sorted(set(ended))


def end_nodes_of(session: Session, fleets: Collection[str], report: Report) -> list[str]:
    """End the nodes that the head has started of fleets that are taken out; return their ids.

    While one stands, idle until its time is over, EC2 refuses to delete its fleet's placement group.
    """
    return _end_those_that_stand(session, report, fleets)


def end_late(session: Session, report: Report) -> list[str]:
    """End nodes of the queue that appeared after all, once the fleet is destroyed; return their ids."""
    return _end_those_that_stand(session, report)


def _end_those_that_stand(
    session: Session, report: Report, fleets: Collection[str] | None = None
) -> list[str]:
    """End the nodes of the queue that EC2 lists, of some fleets or of all; wait until they are gone."""
    found = _alive(session, fleets)
    if found:
        count = f"{len(found)} node{'s' if len(found) > 1 else ''}"
        _tell(session, report, f"ending {count} that the head node had started")
    for start in range(0, len(found), _AT_ONCE):
        session.client("ec2").terminate_instances(InstanceIds=found[start : start + _AT_ONCE])
    _wait_gone(session, found)
    return found


def _may_start_nodes(session: Session) -> bool:
    """Return whether the head starts nodes: by its file, by the one that it was built with, or by nodes."""
    spec = session.spec
    declared = any(fleet.max_nodes > fleet.nodes for fleet in spec.fleets.values())
    return (spec.scheduler.is_slurm and declared) or grows_as_it_stands(session) or bool(_alive(session))


def _alive(session: Session, fleets: Collection[str] | None = None) -> list[str]:
    return sorted(
        str(each["InstanceId"])
        for each in instances(session, _ALIVE)
        if is_elastic(each) and (fleets is None or tag_of(each, naming.TAG_FLEET) in fleets)
    )


def _stop_head(session: Session, report: Report) -> bool:
    """Set the head's group to zero and wait until the head is gone; return whether there was one."""
    group = naming.head_group(session.spec.name)
    client = session.client("autoscaling")
    if not client.describe_auto_scaling_groups(AutoScalingGroupNames=[group])["AutoScalingGroups"]:
        return False
    heads = [
        str(each["InstanceId"])
        for each in instances(session, _ALIVE)
        if tag_of(each, naming.TAG_ROLE) == naming.ROLE_HEAD
    ]
    _tell(session, report, "ending the head node first, which could start others")
    client.update_auto_scaling_group(AutoScalingGroupName=group, MinSize=0, DesiredCapacity=0)
    if heads:
        # The group would end it too, in its own time.
        session.client("ec2").terminate_instances(InstanceIds=heads)
        _wait_gone(session, heads)
    return bool(heads)


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


def forget_cluster(session: Session) -> None:
    """Delete what the head and the nodes told of themselves, which are gone; Terraform knows none of it."""
    store = open_runs(session)
    try:
        for key in (QUEUE, NODES, *store.keys(STATS)):
            store.s3.delete_object(Bucket=store.bucket, Key=key)
    except Exception as error:
        if aws.error_code(error) not in MISSING:
            raise


def _tell(session: Session, report: Report, text: str) -> None:
    report(ProgressEvent(kind="note", stack=naming.fleet_stack(session.spec.name), text=text))
