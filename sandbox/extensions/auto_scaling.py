"""Auto Scaling groups whose instances are what the launch template says, and which record what they tried.

Seam: `FakeAutoScalingGroup.replace_autoscaling_group_instances` and DescribeScalingActivities. moto's
instances lack the profile, placement group, metadata options and further network interfaces, all are
started in the first subnet, and a launch that fails raises instead of being recorded as a failed
activity, which is what Terraform's provider reads. Drop this when moto does these things.
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any

from moto.autoscaling.models import ASG_NAME_TAG, FakeAutoScalingGroup, InstanceState
from moto.autoscaling.responses import AutoScalingResponse
from moto.core.exceptions import ServiceException
from moto.core.responses import ActionResult
from moto.ec2.models.instances import MetadataOptions
from moto.ec2.utils import convert_tag_spec

from sandbox.calls import Call
from sandbox.extensions.instances import SHARERS
from sandbox.faults import Faults
from sandbox.parts import Parts, store


def install(parts: Parts) -> None:
    """Replace the launch of instances and the list of activities."""
    launch = FakeAutoScalingGroup.replace_autoscaling_group_instances

    def replace_instances(group: Any, count_needed: int, propagated_tags: dict[str, str]) -> None:
        if group.ec2_launch_template is None:
            launch(group, count_needed, propagated_tags)
            return
        for _ in range(count_needed):
            _launch_one(group, propagated_tags, parts.faults)

    FakeAutoScalingGroup.replace_autoscaling_group_instances = replace_instances
    AutoScalingResponse.describe_scaling_activities = describe_scaling_activities


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
