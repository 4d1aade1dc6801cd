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

from sandbox.faults import Faults
from sandbox.launches import Launch, refuse, start
from sandbox.parts import Parts, store

_BETWEEN_ATTEMPTS = timedelta(seconds=1)
"""How long a group rests after a launch that failed; in the cloud it is minutes."""


def install(parts: Parts) -> None:
    """Replace the launch of instances and the list of activities."""
    replace = FakeAutoScalingGroup.replace_autoscaling_group_instances

    def replace_instances(group: Any, count_needed: int, propagated_tags: dict[str, str]) -> None:
        if group.ec2_launch_template is None:
            replace(group, count_needed, propagated_tags)
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
    wanted = Launch(
        backend=group.autoscaling_backend.ec2_backend,
        version=group.ec2_launch_template.get_version(group.launch_template_version),
        subnet=min(subnets, key=running.count),  # spread over the zones
        zone=group.availability_zones[0],
        spot=_is_spot(group),
        tags={**propagated_tags, ASG_NAME_TAG: group.name},
        sharers=group.desired_capacity or 1,
        about=f"AutoScalingGroupName={group.name}",
        placement_group=group.placement_group or "",
    )
    try:
        refuse(wanted, faults)
        instance = start(wanted)
    except ServiceException as error:
        _record(
            group, "Launching a new EC2 instance", "Failed", f"{error.message} Launching EC2 instance failed."
        )
        return
    instance.autoscaling_group = group
    protected = group.new_instances_protected_from_scale_in
    group.instance_states.append(InstanceState(instance, protected_from_scale_in=protected))
    _record(group, f"Launching a new EC2 instance: {instance.id}", "Successful", "")


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
