"""What is known of one machine, while EC2 knows it and for an hour after its end."""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fleet import aws
from fleet.session import Session
from stacks.problems import UserError

_ID = re.compile(r"i-[0-9a-f]{8}([0-9a-f]{9})?")
_UNKNOWN = "InvalidInstanceID.NotFound"


@dataclass(frozen=True)
class MachineFacts:
    """One machine."""

    id: str
    found: bool
    """Whether EC2 knows it."""
    started: datetime.datetime | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    things: tuple[str, ...] = ()
    """Ids by which a call may name it: its own, its disks', its network interfaces'."""
    address: str = ""
    """In its network; another machine may have had it before."""
    public_address: str = ""
    network: tuple[str, ...] = ()
    """Ids of what it stands in: its security groups, its subnet and its VPC."""
    vpc: str = ""

    def is_target(self, targets: Any) -> bool:
        """Return whether a command to these targets, as CloudTrail has them, reaches the machine.

        All of them must fit: `[{"key": "tag:fleetform:role", "values": ["head"]}]`.
        """
        if not isinstance(targets, list) or not targets:
            return False
        return all(self._fits(str(each.get("key")), each.get("values") or []) for each in targets)

    def _fits(self, key: str, values: list[str]) -> bool:
        if key.lower() == "instanceids":
            return self.id in values or "*" in values
        return key.startswith("tag:") and self.tags.get(key.removeprefix("tag:")) in values


def require_id(instance_id: str, path: str = "") -> None:
    """Raise UserError for what is no id of a machine; `path` is where it was said."""
    if not _ID.fullmatch(instance_id):
        what = f"{instance_id!r} is not the id of a machine"
        raise UserError.of(what, "name one as EC2 does: i-0123456789abcdef0", path=path)


def machine_facts(session: Session, instance_id: str) -> MachineFacts:
    """Return what EC2 knows of the machine in the environment's region; UserError for what is no id."""
    require_id(instance_id)
    try:
        answer = session.client("ec2").describe_instances(InstanceIds=[instance_id])
    except Exception as error:
        if aws.error_code(error) != _UNKNOWN:
            raise
        return MachineFacts(instance_id, found=False, things=(instance_id,))
    found = next((each for group in answer["Reservations"] for each in group["Instances"]), None)
    if found is None:
        return MachineFacts(instance_id, found=False, things=(instance_id,))
    disks = [each["Ebs"]["VolumeId"] for each in found.get("BlockDeviceMappings", []) if "Ebs" in each]
    interfaces = [each["NetworkInterfaceId"] for each in found.get("NetworkInterfaces", [])]
    return MachineFacts(
        id=instance_id,
        found=True,
        started=found["LaunchTime"],
        tags={tag["Key"]: tag["Value"] for tag in found.get("Tags", [])},
        things=(instance_id, *disks, *interfaces),
        address=found.get("PrivateIpAddress", ""),
        public_address=found.get("PublicIpAddress", ""),
        network=_network(found),
        vpc=found.get("VpcId", ""),
    )


def _network(found: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the ids of what a described machine stands in."""
    groups = [each["GroupId"] for each in found.get("SecurityGroups", [])]
    around = [found[name] for name in ("SubnetId", "VpcId") if found.get(name)]
    return (*groups, *around)
