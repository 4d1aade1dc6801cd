"""Launch templates that do not drift, and whose later versions can be launched.

Seam: `EC2Backend.create_launch_template` and `LaunchTemplate.create_version`. moto's CreateLaunchTemplate
copies the tags of the template itself into the data of its first version, which Terraform then sees as a
change for ever; and the user data of versions after the first is left in a form that moto itself asserts not
to have. Drop either when it no longer does so.
"""

from __future__ import annotations

import functools
from typing import Any

from moto.core.types import Base64EncodedString
from moto.ec2.models import EC2Backend
from moto.ec2.models.launch_templates import LaunchTemplate
from moto.ec2.utils import parse_user_data

from sandbox.parts import Parts


def install(parts: Parts) -> None:
    """Wrap the creation."""
    create = EC2Backend.create_launch_template

    @functools.wraps(create)
    def create_launch_template(
        self: Any, name: str, description: str, template_data: dict[str, Any], tag_spec: dict[str, Any]
    ) -> Any:
        kept = [
            each
            for each in template_data.get("TagSpecifications", [])
            if each.get("ResourceType") != "launch-template"
        ]
        template_data.pop("TagSpecifications", None)
        if kept:
            template_data["TagSpecifications"] = kept
        return create(self, name, description, template_data, tag_spec)

    EC2Backend.create_launch_template = create_launch_template
    add_version = LaunchTemplate.create_version

    @functools.wraps(add_version)
    def create_version(self: Any, data: dict[str, Any], description: str) -> Any:
        given = data.get("UserData")
        if given is not None and not isinstance(given, Base64EncodedString):
            data = {**data, "UserData": parse_user_data(given)}
        return add_version(self, data, description)

    LaunchTemplate.create_version = create_version
