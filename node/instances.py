"""The nodes of a fleet as EC2 and Systems Manager see them, found by their tags."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from node.layout import ROLE_NODE, TAG_ENVIRONMENT, TAG_FLEET, TAG_NODE, TAG_ROLE

_SSM_PAGE = 50
"""Most instance ids that one DescribeInstanceInformation filter takes."""


@dataclass(frozen=True)
class Instance:
    """One running node."""

    instance_id: str
    address: str
    """Private IPv4 address."""
    instance_type: str
    subnet_id: str = ""
    name: str = ""
    """Slurm's name of the node; "" without Slurm."""


def running_nodes(ec2: Any, environment: str, fleet: str) -> list[Instance]:
    """Return the running nodes of the fleet, sorted by id."""
    filters = [
        {"Name": f"tag:{TAG_ENVIRONMENT}", "Values": [environment]},
        {"Name": f"tag:{TAG_ROLE}", "Values": [ROLE_NODE]},
        {"Name": f"tag:{TAG_FLEET}", "Values": [fleet]},
        {"Name": "instance-state-name", "Values": ["running"]},
    ]
    found = [
        Instance(each["InstanceId"], each["PrivateIpAddress"], each["InstanceType"], each.get("SubnetId", ""))
        for each in describe(ec2, filters)
    ]
    return sorted(found, key=lambda instance: instance.instance_id)


def named_nodes(ec2: Any, environment: str) -> dict[str, Instance]:
    """Return the machines of the environment that Slurm knows by a name, pending and running ones, by it."""
    filters = [
        {"Name": f"tag:{TAG_ENVIRONMENT}", "Values": [environment]},
        {"Name": "tag-key", "Values": [TAG_NODE]},
        {"Name": "instance-state-name", "Values": ["pending", "running"]},
    ]
    found = {}
    for each in describe(ec2, filters):
        name = next(tag["Value"] for tag in each["Tags"] if tag["Key"] == TAG_NODE)
        found[name] = Instance(
            each["InstanceId"],
            each.get("PrivateIpAddress", ""),
            each["InstanceType"],
            each.get("SubnetId", ""),
            name,
        )
    return found


def online(ssm: Any, instances: Sequence[Instance]) -> list[Instance]:
    """Return those of the instances that take Systems Manager commands now."""
    reachable: set[str] = set()
    for start in range(0, len(instances), _SSM_PAGE):
        ids = [instance.instance_id for instance in instances[start : start + _SSM_PAGE]]
        answer = ssm.describe_instance_information(
            Filters=[{"Key": "InstanceIds", "Values": ids}], MaxResults=_SSM_PAGE
        )
        reachable |= {
            each["InstanceId"] for each in answer["InstanceInformationList"] if each["PingStatus"] == "Online"
        }
    return [instance for instance in instances if instance.instance_id in reachable]


def gone(ec2: Any, instance_ids: Sequence[str]) -> set[str]:
    """Return those of the ids whose machine does not run any more."""
    filters = [{"Name": "instance-id", "Values": list(instance_ids)}]
    alive = {
        each["InstanceId"]
        for each in describe(ec2, filters)
        if each["State"]["Name"] in ("pending", "running")
    }
    return set(instance_ids) - alive


def describe(ec2: Any, filters: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return every instance that the filters let through, as EC2 describes it."""
    pages = ec2.get_paginator("describe_instances").paginate(Filters=filters)
    return [each for page in pages for group in page["Reservations"] for each in group["Instances"]]
