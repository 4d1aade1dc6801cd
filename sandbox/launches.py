"""Instances as a launch template describes them, one at a time: what groups and fleets start.

moto's own launches leave out the profile, placement group, metadata options and further network interfaces of
the template, and know neither spot nor reserved capacity. Whether there is capacity is asked here too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from moto.core.exceptions import ServiceException
from moto.ec2.models.instances import MetadataOptions
from moto.ec2.utils import convert_tag_spec

from sandbox.calls import Call
from sandbox.capacity import CAPACITY, Kind
from sandbox.extensions.capacity_reservations import require_capacity
from sandbox.extensions.instances import SHARERS
from sandbox.faults import Faults

ON_DEMAND, SPOT, CAPACITY_BLOCK = "on-demand", "spot", "capacity-block"


@dataclass(frozen=True, kw_only=True)
class Launch:
    """One instance that is to be started."""

    backend: Any
    """moto's EC2 of the account and region."""
    version: Any
    """Version of the launch template, as moto has it."""
    subnet: str | None
    zone: str
    """Where it starts if no subnet is given."""
    spot: bool
    tags: Mapping[str, str]
    """Tags of the instance over those of the template."""
    sharers: int
    """Nodes that are to work together, this one included."""
    about: str
    """What a fault for RunInstances may name the launch by, beside its type, subnet, zone and market."""
    placement_group: str = ""
    """Instead of the template's."""

    @property
    def market(self) -> str:
        """How it is bought."""
        if self.spot:
            return SPOT
        kind = self.version.data.get("InstanceMarketOptions", {}).get("MarketType")
        return CAPACITY_BLOCK if kind == CAPACITY_BLOCK else ON_DEMAND

    @property
    def in_zone(self) -> str:
        """Name of the zone that it starts in."""
        return str(self.backend.get_subnet(self.subnet).availability_zone) if self.subnet else self.zone

    @property
    def kind(self) -> Kind:
        """What capacity it takes."""
        return str(self.version.instance_type), self.in_zone, self.market

    @property
    def reservation(self) -> str:
        """The capacity reservation that its template targets, "" for none."""
        target = self.version.data.get("CapacityReservationSpecification", {}).get(
            "CapacityReservationTarget", {}
        )
        return str(target.get("CapacityReservationId", ""))


def refuse(wanted: Launch, faults: Faults, ahead: Sequence[Launch] = ()) -> None:
    """Raise ServiceException where a fault for ec2:RunInstances hits the launch, or there is no capacity.

    `ahead` are others that are to be started before it.
    """
    _refuse_on_fault(wanted, faults)
    _refuse_without_capacity(wanted, ahead)


def start(wanted: Launch) -> Any:
    """Start the instance, which was not refused, and return it."""
    backend, version = wanted.backend, wanted.version
    data, tags = version.data, convert_tag_spec(version.data.get("TagSpecifications", []))
    chosen: dict[str, Any] = {SHARERS: wanted.sharers}
    if mappings := data.get("BlockDeviceMappings"):
        chosen["block_device_mappings"] = [_volume(mapping) for mapping in mappings]
    reservation = backend.run_instances(
        version.image_id,
        1,
        version.user_data,
        version.security_groups,
        instance_type=version.instance_type,
        is_instance_type_default=False,
        region_name=backend.region_name,
        tags={"instance": {**tags.get("instance", {}), **wanted.tags}, "volume": tags.get("volume", {})},
        placement=None if wanted.subnet else wanted.zone,
        launch_template={"LaunchTemplateId": version.template.id, "Version": str(version.number)},
        subnet_id=wanted.subnet,
        nics=[_interface(number, each) for number, each in enumerate(data.get("NetworkInterfaces", []))],
        monitoring_state="enabled" if data.get("Monitoring", {}).get("Enabled") else "disabled",
        ebs_optimized=data.get("EbsOptimized", False),
        **chosen,
    )
    instance = reservation.instances[0]
    _dress(instance, wanted)
    for interface in instance.nics.values():
        interface.add_tags(tags.get("network-interface", {}))
    return instance


def _refuse_on_fault(wanted: Launch, faults: Faults) -> None:
    """Let a fault for ec2:RunInstances hit the launch; in the cloud too it never passes the caller's API."""
    about = (
        f"InstanceType={wanted.version.instance_type}&SubnetId={wanted.subnet}"
        f"&AvailabilityZone={wanted.in_zone}&Market={wanted.market}&{wanted.about}"
    )
    call = Call("ec2", wanted.backend.region_name, "RunInstances", about, "")
    fault = faults.strike(call, refusing=True)
    if fault is not None and (refusal := fault.refusal(call.service)):
        raise ServiceException(refusal.code, refusal.message)


def _refuse_without_capacity(wanted: Launch, ahead: Sequence[Launch]) -> None:
    """Refuse the launch where its reservation, or the zone, has no room for it."""
    CAPACITY.require(wanted.backend, wanted.kind, [each.kind for each in ahead])
    if wanted.reservation:
        require_capacity(
            wanted.backend,
            wanted.reservation,
            instance_type=wanted.version.instance_type,
            zone=wanted.in_zone,
            market=wanted.version.data.get("InstanceMarketOptions", {}).get("MarketType", ""),
            ahead=sum(each.reservation == wanted.reservation for each in ahead),
        )


def _volume(mapping: dict[str, Any]) -> dict[str, Any]:
    """Return a block device mapping with EC2's own default for what happens at termination."""
    return {**mapping, "Ebs": {"DeleteOnTermination": True, **mapping.get("Ebs", {})}}


def _interface(number: int, given: dict[str, Any]) -> dict[str, Any]:
    """Return a network interface as moto takes it: numbered apart, though cards share device numbers."""
    return {"DeleteOnTermination": True, **given, "DeviceIndex": number}


def _dress(instance: Any, wanted: Launch) -> None:
    """Give the instance what moto leaves out."""
    backend, data = wanted.backend, wanted.version.data
    if profile := data.get("IamInstanceProfile"):
        backend.associate_iam_instance_profile(
            instance_id=instance.id,
            iam_instance_profile_name=profile.get("Name"),
            iam_instance_profile_arn=profile.get("Arn"),
        )
    if wanted.market != ON_DEMAND:
        instance.lifecycle = instance.instance_lifecycle = wanted.market
    if wanted.reservation:
        instance.capacity_reservation_id = wanted.reservation
        instance.capacity_reservation_specification = data["CapacityReservationSpecification"]
    for interface, given in zip(instance.nics.values(), data.get("NetworkInterfaces", []), strict=False):
        interface.interface_type = given.get("InterfaceType", "interface")
    placement = data.get("Placement", {})
    instance.placement.group_name = wanted.placement_group or placement.get("GroupName") or ""
    instance.placement.tenancy = placement.get("Tenancy") or "default"
    instance.security_groups = list(instance.nics[0].group_set)
    if options := data.get("MetadataOptions"):
        instance.metadata_options = MetadataOptions(options)
