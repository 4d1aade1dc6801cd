"""Public parameters that name machine images: deep learning and Ubuntu names resolve to an image.

Seam: `ParameterDict._check_loading_status`, where moto loads the public parameters that it ships. It
ships those of Amazon Linux and ECS alone; drop this when it ships these too.

Of the images themselves moto makes, in each region that is looked at, the thousand that ECS has ever
published, each with a snapshot; these are left out. Seam: `load_resource` of `moto.ec2.models.amis`.
"""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Callable
from typing import Any

from moto.core.utils import utcnow
from moto.ec2.models import amis as moto_images
from moto.ec2.models import ec2_backends
from moto.ec2.models.amis import Ami
from moto.ssm.models import Parameter, ParameterDict

from sandbox.parts import Parts

_NAME = re.compile(r"/aws/service/(deeplearning/ami/[\w./-]+/ami-id|canonical/ubuntu/[\w./-]+/ami-id)")
_OF_CONTAINERS = "ec2/resources/ecs/"


def install(parts: Parts) -> None:
    """Make the names known when they are asked for, and leave out the images that nobody here starts."""
    moto_images.load_resource = _without_containers(moto_images.load_resource)
    check = ParameterDict._check_loading_status

    @functools.wraps(check)
    def check_loading_status(self: Any, key: str) -> None:
        check(self, key)
        name = str(key or "")
        if _NAME.fullmatch(name) and not dict.__contains__(self, name):
            dict.__setitem__(self, name, [_parameter(self, name)])

    ParameterDict._check_loading_status = check_loading_status


def _without_containers(load: Callable[[str], Any]) -> Callable[[str], Any]:
    """Return moto's reading of the images that it ships, without those of ECS."""

    @functools.wraps(load)
    def load_others(resource: str) -> Any:
        return [] if resource.startswith(_OF_CONTAINERS) else load(resource)

    return load_others


def _parameter(parameters: Any, name: str) -> Any:
    """Return the parameter, and register the image that it names in the same region."""
    image_id = f"ami-{hashlib.sha256(name.encode()).hexdigest()[:17]}"
    backend = ec2_backends[parameters.account_id][parameters.region_name]
    if image_id not in backend.amis:
        backend.amis[image_id] = Ami(
            backend,
            image_id,
            name=name.removeprefix("/aws/service/").replace("/", "-"),
            description="Stands for a public image in the embedded cloud",
            owner_id="898082745236",  # the account that publishes AWS's deep learning images
            owner_alias="amazon",
            public=True,
            virtualization_type="hvm",
            architecture="arm64" if "arm64" in name else "x86_64",
            root_device_type="ebs",
        )
    return Parameter(
        account_id=parameters.account_id,
        name=name,
        value=image_id,
        parameter_type="String",
        description=None,
        allowed_pattern=None,
        keyid=None,
        last_modified_date=utcnow().timestamp(),
        version=1,
        data_type="aws:ec2:image",
    )
