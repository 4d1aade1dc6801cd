"""Machines of an environment: the launch template that a head node or a node is started from."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NotRequired, TypedDict

from stacks import naming
from stacks.aws.generated import ec2, ssm
from stacks.base_outputs import BaseOutputs
from stacks.cdk import Stack
from stacks.fleet_spec import FleetSpec, HeadSpec
from stacks.interfaces import Interface
from stacks.place import Place
from templates.engine import render
from templates.node_files import UserData

SSM_IMAGE = "ssm:"
"""Beginning of an image that is named by a public Systems Manager parameter."""


class Purchase(TypedDict):
    """Arguments of a launch template that say how its machines are bought."""

    capacity_reservation_specification: NotRequired[ec2.LaunchTemplateCapacityReservationSpecification]
    instance_market_options: NotRequired[ec2.LaunchTemplateInstanceMarketOptions]


@dataclass(frozen=True, kw_only=True)
class Machine:
    """One kind of machine of an environment."""

    name: str
    """What it is called in the stack: `head`, or the fleet's name."""
    title: str
    """What it is called in the cloud, `vision-gpu`."""
    spec: HeadSpec | FleetSpec
    user_data: UserData
    profile: str
    """Name of its instance profile."""
    tags: Mapping[str, str]
    """Everything that its instances and volumes are tagged with."""
    interfaces: tuple[Interface, ...] = (Interface(0, 0, "interface"),)
    template: str = ""
    """Name of its launch template, "" for its title."""
    placement_group: str = ""
    """Name of the placement group that it starts in, "" where anywhere will do."""


def machine_tags(tags: Mapping[str, str], title: str, role: str, fleet: str = "") -> dict[str, str]:
    """Return the tags of the instances and volumes of one kind of machine."""
    own = {"Name": title, naming.TAG_ROLE: role}
    return {**tags, **own, **({naming.TAG_FLEET: fleet} if fleet else {})}


def add_launch_template(
    stack: Stack, place: Place, base: BaseOutputs, machine: Machine
) -> ec2.LaunchTemplate:
    """Add the machine's launch template: private, its disk encrypted, its metadata by IMDSv2 alone."""
    image = _image(stack, machine)
    return ec2.LaunchTemplate(
        stack,
        machine.name,
        name=machine.template or machine.title,
        image_id=image.id,
        instance_type=machine.spec.instance_type,
        user_data=base64.b64encode(render(machine.user_data).encode()).decode(),
        update_default_version=True,
        iam_instance_profile={"name": machine.profile},
        # A hop limit of one keeps the role's credentials out of reach of containers and of what is routed.
        metadata_options={
            "http_endpoint": "enabled",
            "http_tokens": "required",
            "http_put_response_hop_limit": 1,
        },
        block_device_mappings=[_root_disk(place, machine, image)],
        network_interfaces=_network_interfaces(base, machine),
        # The provider's default tags reach the template itself, not what is started from it.
        tag_specifications=[
            {"resource_type": kind, "tags": machine.tags}
            for kind in ("instance", "network-interface", "volume")
        ],
        placement=_placement(machine),
        **_purchase(machine.spec),
    )


def _image(stack: Stack, machine: Machine) -> ec2.DataAmi:
    """Look the image up, for its id and for the name of its root disk, which depends on who built it."""
    image = machine.spec.image
    if image.startswith(SSM_IMAGE):
        image = ssm.DataSsmParameter(stack, machine.name, name=image.removeprefix(SSM_IMAGE)).insecure_value
    return ec2.DataAmi(
        stack, machine.name, include_deprecated=True, filter=[{"name": "image-id", "values": [image]}]
    )


def _root_disk(place: Place, machine: Machine, image: ec2.DataAmi) -> ec2.LaunchTemplateBlockDeviceMappings:
    """Return the disk, encrypted with AWS's own key, which a copy of the disk cannot leave the account with.

    By name, for the account's default may be a key of the customer's, and Auto Scaling would need a grant on
    that: its machines would end as they start.
    """
    return {
        "device_name": image.root_device_name,
        "ebs": {
            "volume_type": "gp3",
            "volume_size": machine.spec.root_volume_gib,
            "encrypted": "true",
            "kms_key_id": place.arn("kms", naming.EBS_KEY),
            "delete_on_termination": "true",
        },
    }


def _placement(machine: Machine) -> ec2.LaunchTemplatePlacement:
    if machine.placement_group:
        return {"tenancy": "default", "group_name": machine.placement_group}
    return {"tenancy": "default"}


def _purchase(spec: HeadSpec | FleetSpec) -> Purchase:
    """Return what the template says of how the machine is bought; spot is the group's to say."""
    if not isinstance(spec, FleetSpec) or not spec.reserved:
        return {}
    target: Purchase = {
        "capacity_reservation_specification": {
            "capacity_reservation_target": {"capacity_reservation_id": spec.reservation}
        }
    }
    if spec.purchase == "capacity_block":
        return {**target, "instance_market_options": {"market_type": "capacity-block"}}
    return target


def _network_interfaces(base: BaseOutputs, machine: Machine) -> list[ec2.LaunchTemplateNetworkInterfaces]:
    groups = [base.nodes_security_group_id]
    if len(machine.interfaces) == 1 and machine.interfaces[0].kind == "interface":
        return [
            {
                "device_index": 0,
                "associate_public_ip_address": "false",
                "delete_on_termination": "true",
                "security_groups": groups,
            }
        ]
    # Public addresses cannot be spoken of with several interfaces, and EC2 then gives none by itself.
    alone: ec2.LaunchTemplateNetworkInterfaces = {"associate_public_ip_address": "false"}
    return [
        {
            "device_index": each.device,
            "network_card_index": each.card,
            "interface_type": each.kind,
            "delete_on_termination": "true",
            "security_groups": groups,
            **(alone if len(machine.interfaces) == 1 else {}),
        }
        for each in machine.interfaces
    ]
