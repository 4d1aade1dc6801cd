"""What calls of EC2 Auto Scaling need: the group, and for a launch template what it would launch.

https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2autoscaling.html and, for
launch templates, https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-launch-template-permissions.html
"""

from __future__ import annotations

from collections.abc import Sequence

from moto.autoscaling.models import autoscaling_backends

from sandbox.iam.needs import Need, Rule, Service, anything
from sandbox.iam.requests import ApiRequest
from sandbox.iam.services.ec2 import run_needs


def _group_arn(request: ApiRequest, name: str) -> str:
    group = autoscaling_backends[request.account][request.region].autoscaling_groups.get(name)
    if group is not None:
        return str(group.arn)
    return request.arn("autoscaling", f"autoScalingGroup:*:autoScalingGroupName/{name}")


def _groups(request: ApiRequest) -> Sequence[str]:
    """Return the groups that the call names: by name, by a tag's resource, or by one of their instances."""
    names = [*request.all("AutoScalingGroupName"), *request.all("ResourceId")]
    names += [tag["ResourceId"] for tag in request.get("Tags") or [] if "ResourceId" in tag]
    instances = {*request.all("InstanceId"), *request.all("InstanceIds")}
    backend = autoscaling_backends[request.account][request.region]
    names += [
        name
        for name, group in list(backend.autoscaling_groups.items())
        if instances & {state.instance.id for state in group.instance_states}
    ]
    return [_group_arn(request, name) for name in dict.fromkeys(names)] or ["*"]


def _launches(request: ApiRequest) -> Sequence[Need]:
    """Return the right to run what the launch template describes, asked of whoever gives the template."""
    mixed = "MixedInstancesPolicy.LaunchTemplate.LaunchTemplateSpecification"
    template = request.get("LaunchTemplate") or request.get(mixed)
    return run_needs(request, {"LaunchTemplate": template}) if template else []


AUTOSCALING = Service(
    "autoscaling",
    {
        "CreateAutoScalingGroup": Rule(_groups, more=_launches),
        "UpdateAutoScalingGroup": Rule(_groups, more=_launches),
        **{
            f"Describe{what}": Rule(anything)
            for what in (
                "AccountLimits",
                "AutoScalingGroups",
                "AutoScalingInstances",
                "InstanceRefreshes",
                "LaunchConfigurations",
                "LifecycleHookTypes",
                "LifecycleHooks",
                "LoadBalancerTargetGroups",
                "LoadBalancers",
                "MetricCollectionTypes",
                "NotificationConfigurations",
                "Policies",
                "ScalingActivities",
                "ScheduledActions",
                "Tags",
                "TrafficSources",
                "WarmPool",
            )
        },
    },
    default=Rule(_groups),
)
"""No Describe action can be narrowed to groups; every other one is about the groups that it names."""
