"""Auto Scaling groups whose instances are what the launch template says, and which record what they tried.

Seams: `FakeAutoScalingGroup.replace_autoscaling_group_instances`, its `update` and `launch_template`, and
DescribeScalingActivities. moto's instances lack the profile, placement group, metadata options and further
network interfaces, are neither spot nor reserved, and all are started in the first subnet; a launch that
fails raises instead of being recorded as a failed activity, which is what Terraform's provider reads; a
group with a mixed instances policy shows a launch template beside it, and loses the policy with any update.
Drop this when moto does these things.
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

from moto.autoscaling.models import ASG_NAME_TAG, FakeAutoScalingGroup, InstanceState
from moto.autoscaling.responses import AutoScalingResponse
from moto.core.exceptions import ServiceException
from moto.core.responses import ActionResult
from moto.ec2.models.instances import MetadataOptions
from moto.ec2.utils import convert_tag_spec

from sandbox.calls import Call
from sandbox.extensions.capacity_reservations import require_capacity
from sandbox.extensions.instances import SHARERS
from sandbox.faults import Faults
from sandbox.parts import Parts, store

_BETWEEN_ATTEMPTS = timedelta(seconds=1)
"""How long a group rests after a launch that failed; in the cloud it is minutes."""


def install(parts: Parts) -> None:
    """Replace the launch of instances and the list of activities."""
    launch = FakeAutoScalingGroup.replace_autoscaling_group_instances

    def replace_instances(group: Any, count_needed: int, propagated_tags: dict[str, str]) -> None:
        if group.ec2_launch_template is None:
            launch(group, count_needed, propagated_tags)
            return
        for _ in range(count_needed):
            _launch_one(group, propagated_tags, parts.faults)

    shown, update = FakeAutoScalingGroup.launch_template.fget, FakeAutoScalingGroup.update

    def launch_template(group: Any) -> Any:
        return None if group.mixed_instances_policy else shown(group)

    def keep_policy(group: Any, **changes: Any) -> None:
        named = ("launch_template", "launch_config_name", "mixed_instances_policy")
        if group.mixed_instances_policy and not any(changes.get(each) for each in named):
            changes["mixed_instances_policy"] = group.mixed_instances_policy
            # moto shows the template's id and name, and takes but one of them.
            specification = group.mixed_instances_policy["LaunchTemplate"]["LaunchTemplateSpecification"]
            specification.pop("LaunchTemplateName", None)
        update(group, **changes)

    FakeAutoScalingGroup.replace_autoscaling_group_instances = replace_instances
    FakeAutoScalingGroup.launch_template = property(launch_template)
    FakeAutoScalingGroup.update = keep_policy

    def describe(request: Any) -> ActionResult:
        for group in list(request.autoscaling_backend.autoscaling_groups.values()):
            if group.name == request._get_param("AutoScalingGroupName"):
                _try_again(group, parts.faults)
        return describe_scaling_activities(request)

    AutoScalingResponse.describe_scaling_activities = describe


def _try_again(group: Any, faults: Faults) -> None:
    """Start what the last attempt failed to, as a group does by itself; here when somebody looks at it."""
    activities = store(group.autoscaling_backend, "activities").get(group.name, [])
    lacks = (group.desired_capacity or 0) - len(group.active_instances())
    rested = activities and datetime.now(UTC) - activities[-1]["EndTime"] > _BETWEEN_ATTEMPTS
    launches = "Launch" not in {each["ProcessName"] for each in group.suspended_processes}
    if rested and launches and activities[-1]["StatusCode"] == "Failed":
        for _ in range(lacks):
            _launch_one(group, group.get_propagated_tags(), faults)


def describe_scaling_activities(request: Any) -> ActionResult:
    """DescribeScalingActivities, latest first."""
    name, wanted = request._get_param("AutoScalingGroupName"), request._get_param("ActivityIds", [])
    kept = store(request.autoscaling_backend, "activities")
    found = [
        activity
        for group, activities in kept.items()
        for activity in activities
        if name in (None, group) and (not wanted or activity["ActivityId"] in wanted)
    ]
    return ActionResult({"Activities": sorted(found, key=lambda each: each["StartTime"], reverse=True)})


def _launch_one(group: Any, propagated_tags: dict[str, str], faults: Faults) -> None:
    """Launch one instance and record the activity, successful or not."""
    subnets = group.vpc_zone_identifier.split(",") if group.vpc_zone_identifier else [None]
    running = [state.instance.subnet_id for state in group.instance_states]
    subnet = min(subnets, key=running.count)  # spread over the zones
    try:
        _refuse_on_fault(group, subnet, faults)
        _refuse_without_capacity(group, subnet)
        instance = _run(group, subnet, propagated_tags)
    except ServiceException as error:
        _record(
            group, "Launching a new EC2 instance", "Failed", f"{error.message} Launching EC2 instance failed."
        )
        return
    instance.autoscaling_group = group
    protected = group.new_instances_protected_from_scale_in
    group.instance_states.append(InstanceState(instance, protected_from_scale_in=protected))
    _record(group, f"Launching a new EC2 instance: {instance.id}", "Successful", "")


def _refuse_on_fault(group: Any, subnet: str | None, faults: Faults) -> None:
    """Let a fault for ec2:RunInstances hit the launch; in the cloud too it never passes the caller's API."""
    about = f"InstanceType={group.instance_type}&SubnetId={subnet}&AutoScalingGroupName={group.name}"
    fault = faults.strike(Call("ec2", group.region, "RunInstances", about, ""))
    if fault is not None and fault.code:
        raise ServiceException(fault.code, fault.message)


def _refuse_without_capacity(group: Any, subnet: str | None) -> None:
    """Refuse the launch where the template names a reservation that has no room for it."""
    backend = group.autoscaling_backend.ec2_backend
    data = group.ec2_launch_template.get_version(group.launch_template_version).data
    if reservation_id := _reservation(data):
        require_capacity(
            backend,
            reservation_id,
            instance_type=group.instance_type,
            zone=backend.get_subnet(subnet).availability_zone if subnet else group.availability_zones[0],
            market=data.get("InstanceMarketOptions", {}).get("MarketType", ""),
        )


def _run(group: Any, subnet: str | None, propagated_tags: dict[str, str]) -> Any:
    """Run one instance as the group's launch template has it."""
    backend = group.autoscaling_backend.ec2_backend
    version = group.ec2_launch_template.get_version(group.launch_template_version)
    data, tags = version.data, convert_tag_spec(version.data.get("TagSpecifications", []))
    instance_tags = {**tags.get("instance", {}), **propagated_tags, ASG_NAME_TAG: group.name}
    chosen: dict[str, Any] = {SHARERS: group.desired_capacity or 1}
    if mappings := data.get("BlockDeviceMappings"):
        chosen["block_device_mappings"] = [_volume(mapping) for mapping in mappings]
    reservation = backend.run_instances(
        group.image_id,
        1,
        group.user_data,
        group.security_groups,
        instance_type=group.instance_type,
        is_instance_type_default=False,
        region_name=group.region,
        tags={"instance": instance_tags, "volume": tags.get("volume", {})},
        placement=None if subnet else group.availability_zones[0],
        launch_template={"LaunchTemplateId": version.template.id, "Version": str(version.number)},
        subnet_id=subnet,
        nics=[_interface(number, each) for number, each in enumerate(data.get("NetworkInterfaces", []))],
        monitoring_state="enabled" if data.get("Monitoring", {}).get("Enabled") else "disabled",
        ebs_optimized=data.get("EbsOptimized", False),
        **chosen,
    )
    instance = reservation.instances[0]
    _dress(backend, instance, group, data)
    for interface in instance.nics.values():
        interface.add_tags(tags.get("network-interface", {}))
    return instance


def _reservation(data: dict[str, Any]) -> str:
    """Return the capacity reservation that a launch template targets, "" for none."""
    target = data.get("CapacityReservationSpecification", {}).get("CapacityReservationTarget", {})
    return str(target.get("CapacityReservationId", ""))


def _is_spot(group: Any) -> bool:
    """Return whether the next instance of the group is to be spot, as its mixed instances policy divides."""
    distribution = (group.mixed_instances_policy or {}).get("InstancesDistribution", {})
    base = int(distribution.get("OnDemandBaseCapacity", 0))
    percent = int(distribution.get("OnDemandPercentageAboveBaseCapacity", 100))
    running = [state.instance for state in group.instance_states]
    on_demand = sum(instance.lifecycle != "spot" for instance in running)
    # Of the instances above the base, on-demand ones are rounded up.
    above = max(0, len(running) + 1 - base)
    return bool(on_demand >= base + -(-above * percent // 100))


def _volume(mapping: dict[str, Any]) -> dict[str, Any]:
    """Return a block device mapping with EC2's own default for what happens at termination."""
    return {**mapping, "Ebs": {"DeleteOnTermination": True, **mapping.get("Ebs", {})}}


def _interface(number: int, given: dict[str, Any]) -> dict[str, Any]:
    """Return a network interface as moto takes it: numbered apart, though cards share device numbers."""
    return {"DeleteOnTermination": True, **given, "DeviceIndex": number}


def _dress(backend: Any, instance: Any, group: Any, data: dict[str, Any]) -> None:
    """Give the instance what moto leaves out."""
    if profile := data.get("IamInstanceProfile"):
        backend.associate_iam_instance_profile(
            instance_id=instance.id,
            iam_instance_profile_name=profile.get("Name"),
            iam_instance_profile_arn=profile.get("Arn"),
        )
    if _is_spot(group):
        instance.lifecycle = instance.instance_lifecycle = "spot"
    if reservation_id := _reservation(data):
        instance.capacity_reservation_id = reservation_id
        instance.capacity_reservation_specification = data["CapacityReservationSpecification"]
        if data.get("InstanceMarketOptions", {}).get("MarketType") == "capacity-block":
            instance.lifecycle = instance.instance_lifecycle = "capacity-block"
    for interface, given in zip(instance.nics.values(), data.get("NetworkInterfaces", []), strict=False):
        interface.interface_type = given.get("InterfaceType", "interface")
    placement = data.get("Placement", {})
    instance.placement.group_name = group.placement_group or placement.get("GroupName") or ""
    instance.placement.tenancy = placement.get("Tenancy") or "default"
    instance.security_groups = list(instance.nics[0].group_set)
    if options := data.get("MetadataOptions"):
        instance.metadata_options = MetadataOptions(options)


def _record(group: Any, description: str, status: str, message: str) -> None:
    now = datetime.now(UTC)
    activity = {
        "ActivityId": str(uuid.uuid4()),
        "AutoScalingGroupName": group.name,
        "AutoScalingGroupARN": group.arn,
        "Description": description,
        "Cause": f"At {now:%Y-%m-%dT%H:%M:%SZ} the group's size did not match its desired capacity.",
        "StartTime": now,
        "EndTime": now,
        "StatusCode": status,
        "StatusMessage": message,
        "Progress": 100,
    }
    store(group.autoscaling_backend, "activities").setdefault(group.name, []).append(activity)
