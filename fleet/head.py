"""The head node of an environment, found by its tags; a machine that has ended is none."""

from __future__ import annotations

from typing import Any

from fleet.errors import ActError
from fleet.instances import instances
from fleet.session import Session
from stacks import naming


def find_head(session: Session) -> str:
    """Return the instance id of the head node that takes commands; ActError if none does.

    EC2 is asked only where Systems Manager knows of more than one: its client alone takes longer to make than
    the whole way from here to the command. A single one that has ended refuses the command: see running_head.
    """
    found = _known(session)
    online = [each["InstanceId"] for each in found if each["PingStatus"] == "Online"]
    if len(online) == 1:
        return str(online[0])
    return running_head(session) if online else _none(session, found)


def running_head(session: Session) -> str:
    """Return the newest head node that runs, as EC2 tells, and takes commands; ActError if none does."""
    found = _known(session)
    online = {each["InstanceId"] for each in found if each["PingStatus"] == "Online"}
    running = list(instances(session, ["running"], [naming.ROLE_HEAD]))
    heads = [each for each in running if each["InstanceId"] in online]
    if not heads:
        return _none(session, running)
    return str(max(heads, key=lambda each: (each["LaunchTime"], each["InstanceId"]))["InstanceId"])


def _known(session: Session) -> list[dict[str, Any]]:
    """Return what Systems Manager knows of the environment's heads, ended ones among them for a while."""
    filters = [
        {"Key": f"tag:{naming.TAG_ENVIRONMENT}", "Values": [session.spec.name]},
        {"Key": f"tag:{naming.TAG_ROLE}", "Values": [naming.ROLE_HEAD]},
    ]
    pages = session.client("ssm").get_paginator("describe_instance_information").paginate(Filters=filters)
    return [each for page in pages for each in page["InstanceInformationList"]]


def _none(session: Session, found: list[dict[str, Any]]) -> str:
    name, state = session.spec.name, "does not answer" if found else "is not there"
    raise ActError(
        f"the head node of {name} {state}: it may still be starting; try again in a minute, or"
        f" see `fleetform plan {name}`"
    )
