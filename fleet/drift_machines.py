"""Machines that run otherwise than their launch template says: open metadata, public address, key pair."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fleet.drift_ranks import Rank
from fleet.findings import Finding
from fleet.instances import instances, is_elastic
from fleet.kinds import MACHINES
from fleet.priced import Resource
from fleet.session import Session
from stacks import naming

REPAIR = "end the machine; its group starts one as declared in its place"
REPAIR_ELASTIC = "end the machine; the head node starts one as declared when a run needs it"


def machine_findings(session: Session, resources: Sequence[Resource]) -> Iterator[Finding]:
    """Yield what is wrong with the machines that run; `resources` is all that the stacks have made."""
    groups = {str(each.values["id"]) for each in resources if each.kind == "aws_security_group"}
    profiles = {str(each.values["arn"]) for each in resources if each.kind == "aws_iam_instance_profile"}
    for machine in instances(session, ["running"]):
        for rank, what in machine_problems(machine, groups, profiles):
            yield Finding(
                rank=rank,
                stack=naming.fleet_stack(session.spec.name),
                address=str(machine["InstanceId"]),
                room=MACHINES,
                what=f"the machine {machine['InstanceId']} {what}",
                attributes=(),
                repair=REPAIR_ELASTIC if is_elastic(machine) else REPAIR,
            )


def machine_problems(
    machine: Mapping[str, Any], groups: set[str], profiles: set[str]
) -> Iterator[tuple[Rank, str]]:
    """Yield what one machine has that no launch template of ours gives it.

    `machine` is as EC2 describes it, `groups` and `profiles` are the ids and ARNs that belong to the stacks.
    """
    if machine.get("MetadataOptions", {}).get("HttpTokens") == "optional":
        yield "critical", "gives out its role's credentials without a token (IMDSv1)"
    if machine.get("PublicIpAddress"):
        yield "critical", f"has the public address {machine['PublicIpAddress']}"
    if machine.get("KeyName"):
        yield "critical", f"has the key pair {machine['KeyName']}"
    foreign = sorted({each["GroupId"] for each in machine.get("SecurityGroups", ())} - groups)
    if foreign:
        yield "critical", f"is in security groups that are not the environment's: {', '.join(foreign)}"
    profile = machine.get("IamInstanceProfile", {}).get("Arn")
    if profile and profile not in profiles:
        yield "critical", f"has the instance profile {profile}, which is not the environment's"
