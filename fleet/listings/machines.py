"""Everything of an account that machines are, are made from, or left behind."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from fleet.listings.ends import day_over
from fleet.listings.listed import Item, Link, Listed, Lister, Says, links
from fleet.listings.rows import Row
from fleet.listings.things import Look, ask, instance_price, price, tags_of
from stacks import naming

_IMAGED = re.compile(r"\b(i-[0-9a-f]+|ami-[0-9a-f]+)\b")
"""What EC2 writes into the description of a snapshot that it makes of a machine, for an image."""
GROUP_TAG = "aws:autoscaling:groupName"
_FLEET_TAG = "aws:ec2:fleet-id"
_TEMPLATE_TAG = "aws:ec2launchtemplate:id"


def _instance_links(item: Item) -> tuple[Link, ...]:
    tags = tags_of(item)
    return (
        *links("lies in", "VPC", item.get("VpcId")),
        *links("lies in", "subnet", item.get("SubnetId")),
        *links("is in", "security group", *(each["GroupId"] for each in item.get("SecurityGroups", ()))),
        *links("was started by", "Auto Scaling group", tags.get(GROUP_TAG)),
        *links("was started by", "EC2 fleet", tags.get(_FLEET_TAG)),
        *links("was started from", "launch template", tags.get(_TEMPLATE_TAG)),
        *links("was started for", "spot request", item.get("SpotInstanceRequestId")),
    )


def _instance_costs(item: Item) -> float | None:
    """A stopped one costs its disks alone."""
    return instance_price(item["InstanceType"]) if item["State"]["Name"] in ("pending", "running") else 0.0


def _volume_links(item: Item) -> tuple[Link, ...]:
    return (
        *links("is attached to", "EC2 instance", *(each.get("InstanceId") for each in _attached(item))),
        *links("was made from", "EBS snapshot", item.get("SnapshotId")),
    )


def _attached(item: Item) -> list[Mapping[str, Any]]:
    return list(item.get("Attachments", ()))


def _volume_costs(item: Item) -> float | None:
    """The catalog has one kind of disk, the one that the stacks make."""
    return price("ebs_gp3", item["Size"]) if item.get("VolumeType", "gp3") == "gp3" else None


def _snapshot_links(item: Item) -> tuple[Link, ...]:
    named = _IMAGED.findall(item.get("Description") or "")
    return (
        *links("is of", "EBS volume", item.get("VolumeId")),
        *links("was made of", "EC2 instance", *(each for each in named if each.startswith("i-"))),
    )


def _image_links(item: Item) -> tuple[Link, ...]:
    disks = (each.get("Ebs", {}).get("SnapshotId") for each in item.get("BlockDeviceMappings", ()))
    return (
        *links("holds", "EBS snapshot", *disks),
        *links("was made of", "EC2 instance", item.get("SourceInstanceId")),
    )


def _group_links(item: Item) -> tuple[Link, ...]:
    mixed = item.get("MixedInstancesPolicy", {}).get("LaunchTemplate", {})
    templates = (item.get("LaunchTemplate", {}), mixed.get("LaunchTemplateSpecification", {}))
    subnets = str(item.get("VPCZoneIdentifier") or "").split(",")
    return (
        *links("starts from", "launch template", *(each.get("LaunchTemplateId") for each in templates)),
        *links("starts in", "subnet", *subnets),
    )


def _group_until(item: Item) -> datetime.datetime | None:
    return day_over(tags_of(item).get(naming.TAG_LEASE_ENDS, ""))


def _fleet_links(item: Item) -> tuple[Link, ...]:
    templates = (
        each.get("LaunchTemplateSpecification", {}) for each in item.get("LaunchTemplateConfigs", ())
    )
    return links("starts from", "launch template", *(each.get("LaunchTemplateId") for each in templates))


def _reservation_costs(item: Item) -> float | None:
    """It costs what its machines would, whether any runs in it or not; a capacity block was paid for."""
    if item.get("ReservationType") == "capacity-block":
        return 0.0
    each = instance_price(item["InstanceType"])
    return None if each is None else each * item["TotalInstanceCount"]


_INSTANCES = Row(
    kind="EC2 instance", title="EC2 instances", covers=("ec2:instance",), service="ec2",
    operation="describe_instances", key="Reservations", inside="Instances", identity="InstanceId",
    created="LaunchTime", links=_instance_links, costs=_instance_costs, by_tag=True,
    note=lambda item: f"{item['InstanceType']}, {item['State']['Name']}",
    arguments={
        "Filters": [{"Name": "instance-state-name", "Values": ["pending", "running", "stopping", "stopped"]}]
    },
)  # fmt: skip
_TEMPLATES = Row(
    kind="launch template", title="launch templates", covers=("ec2:launch-template",), service="ec2",
    operation="describe_launch_templates", key="LaunchTemplates", identity="LaunchTemplateId",
    named="LaunchTemplateName", created="CreateTime", by_tag=True,
)  # fmt: skip
ROWS = (
    _INSTANCES,
    Row(
        kind="EBS volume", title="EBS volumes", covers=("ec2:volume",), service="ec2",
        operation="describe_volumes", key="Volumes", identity="VolumeId", created="CreateTime",
        links=_volume_links, costs=_volume_costs, holds_data=True, by_tag=True,
        note=lambda item: f"{item['Size']} GiB {item.get('VolumeType', '')}, {item['State']}",
        comes_along=lambda item: any(each.get("DeleteOnTermination") for each in _attached(item)),
    ),
    Row(
        kind="EBS snapshot", title="EBS snapshots", covers=("ec2:snapshot",), service="ec2",
        operation="describe_snapshots", key="Snapshots", identity="SnapshotId", created="StartTime",
        links=_snapshot_links, costs=lambda item: price("ebs_snapshot", item["VolumeSize"]), holds_data=True,
        note=lambda item: f"of {item['VolumeSize']} GiB, priced as a full one",
        texts=lambda item: (item.get("Description") or "",), arguments={"OwnerIds": ["self"]}, by_tag=True,
    ),
    Row(
        kind="machine image", title="machine images", covers=("ec2:image",), service="ec2",
        operation="describe_images", key="Images", identity="ImageId", named="Name", links=_image_links,
        holds_data=True, note=lambda item: "costs by its snapshots", arguments={"Owners": ["self"]},
    ),
    Row(
        kind="placement group", title="placement groups", covers=("ec2:placement-group",), service="ec2",
        operation="describe_placement_groups", key="PlacementGroups", identity="GroupName",
        named="GroupName", leave_out=lambda item: item.get("State") == "deleted", by_tag=True,
    ),
    Row(
        kind="Auto Scaling group", title="Auto Scaling groups", covers=("autoscaling:autoScalingGroup",),
        service="autoscaling", operation="describe_auto_scaling_groups", key="AutoScalingGroups",
        identity="AutoScalingGroupName", named="AutoScalingGroupName", created="CreatedTime",
        links=_group_links, until=_group_until,
        note=lambda item: f"{len(item.get('Instances', ()))} instances",
    ),
    Row(
        kind="key pair", title="key pairs", covers=("ec2:key-pair",), service="ec2",
        operation="describe_key_pairs", key="KeyPairs", identity="KeyPairId", named="KeyName",
        created="CreateTime",
    ),
    Row(
        kind="capacity reservation", title="capacity reservations", covers=("ec2:capacity-reservation",),
        service="ec2", operation="describe_capacity_reservations", key="CapacityReservations",
        identity="CapacityReservationId", created="CreateDate", costs=_reservation_costs,
        note=lambda item: f"{item['TotalInstanceCount']} {item['InstanceType']}",
        leave_out=lambda item: item["State"] in ("cancelled", "expired", "failed"),
    ),
    Row(
        kind="EC2 fleet", title="EC2 fleets", covers=("ec2:fleet",), service="ec2",
        operation="describe_fleets", key="Fleets", identity="FleetId", created="CreateTime",
        links=_fleet_links, leave_out=lambda item: (
            item.get("Type") == "instant" or str(item.get("FleetState", "")).startswith("deleted")
        ),
        note=lambda item: str(item.get("FleetState", "")),
    ),
    Row(
        kind="spot request", title="spot requests", service="ec2",
        covers=("ec2:spot-instances-request", "ec2:spot-instance-request"),
        operation="describe_spot_instance_requests", key="SpotInstanceRequests",
        identity="SpotInstanceRequestId", created="CreateTime",
        links=lambda item: links("is for", "EC2 instance", item.get("InstanceId")),
        leave_out=lambda item: item["State"] not in ("open", "active"),
        comes_along=lambda item: item.get("InstanceId"),
    ),
)  # fmt: skip
"""What one call tells all about; launch templates take a second one."""


def templates(look: Look) -> Iterator[Listed]:
    """Yield the launch templates; one without a tag may still say whose the machines are that it starts."""
    for each in _TEMPLATES.look(look):
        says = None if naming.TAG_ENVIRONMENT in each.tags else _template_says(look, each.thing.id)
        yield replace(each, says=says)


def _template_says(look: Look, template: str) -> Says | None:
    answer = ask(
        look.client("ec2").describe_launch_template_versions,
        LaunchTemplateId=template,
        Versions=["$Latest"],
    )
    for version in (answer or {}).get("LaunchTemplateVersions", ()):
        for each in version["LaunchTemplateData"].get("TagSpecifications", ()):
            if environment := tags_of(each).get(naming.TAG_ENVIRONMENT):
                return Says(environment, f"what it starts is tagged {naming.TAG_ENVIRONMENT}={environment}")
    return None


LISTERS = (
    *(row.lister for row in ROWS),
    Lister(title="launch templates", covers=("ec2:launch-template",), look=templates),
)
