"""An environment's machines, as EC2 lists them by their tags."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fleet.session import Session
from stacks import naming

GOING = ("pending", "running")
"""States of a machine that runs or starts."""
ROLES = (naming.ROLE_HEAD, naming.ROLE_NODE)


def instances(
    session: Session, states: Sequence[str] = GOING, roles: Sequence[str] = ROLES
) -> Iterator[dict[str, Any]]:
    """Yield the environment's machines that are in one of the states and have one of the roles.

    With no roles all that carry the environment's name, whatever they are.
    """
    filters = [
        {"Name": f"tag:{naming.TAG_ENVIRONMENT}", "Values": [session.spec.name]},
        *([{"Name": f"tag:{naming.TAG_ROLE}", "Values": list(roles)}] if roles else []),
        {"Name": "instance-state-name", "Values": list(states)},
    ]
    for page in session.client("ec2").get_paginator("describe_instances").paginate(Filters=filters):
        for reservation in page["Reservations"]:
            yield from reservation["Instances"]


def tag_of(instance: Mapping[str, Any], key: str) -> str:
    """Return the value of a machine's tag, "" where it has none of that key."""
    return next((str(tag["Value"]) for tag in instance.get("Tags", ()) if tag["Key"] == key), "")


def is_elastic(instance: Mapping[str, Any]) -> bool:
    """Return whether the head node started the machine, and not its group: by the tag of its launch."""
    return any(tag["Key"] == naming.TAG_LAUNCH for tag in instance.get("Tags", ()))
