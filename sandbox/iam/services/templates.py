"""What a launch template says about the call that names it: its data, and IAM's condition keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from moto.ec2.models import ec2_backends

from sandbox.iam.needs import Keys
from sandbox.iam.requests import ApiRequest


def template_of(request: ApiRequest, given: Mapping[str, Any]) -> Any | None:
    """Return moto's launch template of a specification, or None."""
    templates = list(ec2_backends[request.account][request.region].launch_templates.values())
    wanted = {given.get("LaunchTemplateId"), given.get("LaunchTemplateName")} - {None}
    return next((each for each in templates if {each.id, each.name} & wanted), None)


def template_data(template: Any | None, given: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what the specified version of a template says; nothing without one."""
    if template is None:
        return {}
    version = template.get_version(given.get("Version") or "$Default")
    data: Mapping[str, Any] = version.data
    return data


def template_keys(request: ApiRequest, template: Any | None, *, overridden: bool = False) -> Keys:
    """Return the condition keys of a resource of a launch, `overridden` where the call names it itself.

    Without a template both keys are absent.
    """
    if template is None:
        return {}
    return {
        "ec2:LaunchTemplate": [request.arn("ec2", f"launch-template/{template.id}")],
        "ec2:IsLaunchTemplateResource": ["false" if overridden else "true"],
    }
