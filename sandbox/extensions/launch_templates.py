"""Launch templates that do not drift: a template's own tags stay out of its versions.

Seam: `EC2Backend.create_launch_template`. moto's CreateLaunchTemplate copies the tags of the template
itself into the data of its first version, which Terraform then sees as a change for ever; drop this when
it no longer does.
"""

from __future__ import annotations

import functools
from typing import Any

from moto.ec2.models import EC2Backend

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
