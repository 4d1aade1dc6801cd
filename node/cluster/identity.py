"""Which machine this is: its instance, Slurm's name for it, and the head of its cluster."""

from __future__ import annotations

from typing import Any

from node.agent.metadata import Metadata
from node.cluster.compose import Controller
from node.instances import describe
from node.layout import TAG_ENVIRONMENT, TAG_NODE, TAG_ROLE

ROLE_HEAD = "head"
_PATIENCE_SECONDS = 20.0
"""For the metadata service of a machine that is just starting."""


def instance_metadata(path: str) -> str:
    """Return a value of the instance's metadata that every instance has (`instance-id`). Raises OSError."""
    found = Metadata(timeout=_PATIENCE_SECONDS).get(path)
    if found is None:
        raise OSError(f"this machine's metadata has no {path}")
    return found


def own_name(ec2: Any, instance_id: str) -> str:
    """Return the name that the head has given the instance in Slurm, "" as long as it has not."""
    filters = [{"Name": "resource-id", "Values": [instance_id]}, {"Name": "key", "Values": [TAG_NODE]}]
    return next((str(each["Value"]) for each in ec2.describe_tags(Filters=filters)["Tags"]), "")


def find_head(ec2: Any, environment: str) -> Controller | None:
    """Return the environment's head, the youngest where it is just being replaced, or None."""
    filters = [
        {"Name": f"tag:{TAG_ENVIRONMENT}", "Values": [environment]},
        {"Name": f"tag:{TAG_ROLE}", "Values": [ROLE_HEAD]},
        {"Name": "instance-state-name", "Values": ["running"]},
    ]
    found = describe(ec2, filters)
    if not found:
        return None
    youngest = max(found, key=lambda each: each["LaunchTime"])
    return Controller(str(youngest["PrivateDnsName"]).partition(".")[0], str(youngest["PrivateIpAddress"]))
