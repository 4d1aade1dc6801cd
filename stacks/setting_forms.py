"""Settings that several tables share in form: machine images, paths, disks, names, lists of texts."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import StringConstraints

from stacks.fields import setting

GPU_IMAGE = (
    "ssm:/aws/service/deeplearning/ami/x86_64/oss-nvidia-driver-gpu-pytorch-2.7-ubuntu-22.04/latest/ami-id"
)
"""AWS Deep Learning AMI with the NVIDIA driver, PyTorch 2.7 and boto3, by its public SSM parameter."""
IMAGE_PYTHON = "/opt/pytorch/bin/python3"
"""Where that image has the Python with torch and boto3."""
EMAIL_PATTERN = r"^[A-Za-z0-9._+-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+$"


Email = Annotated[str, StringConstraints(pattern=EMAIL_PATTERN)]
PrincipalArn = Annotated[
    str,
    StringConstraints(
        pattern=r"^arn:aws[a-z-]*:iam::[0-9]{12}:(root|(role|user|saml-provider)/[A-Za-z0-9+=,.@_/-]+)$"
    ),
]


def machine_image(doc: str) -> Any:
    """Return the setting of a machine image."""
    form = "an image id (`ami-0123456789abcdef0`) or a public SSM parameter (`ssm:/aws/service/...`)"
    pattern = r"^(ami-[0-9a-f]{8,17}|ssm:/[A-Za-z0-9_./-]+)$"
    return setting(doc, unit="", change="new machines only", form=form, pattern=pattern)


def python_path(doc: str) -> Any:
    """Return the setting of the path of a Python in an image."""
    form = "an absolute path of letters, digits and `_./+-`"
    return setting(doc, unit="", change="new machines only", form=form, pattern=r"^/[A-Za-z0-9_./+-]+$")


def machine_type(doc: str, example: str, why: str = "") -> Any:
    """Return the setting of an EC2 instance type."""
    form, pattern = f"an EC2 instance type such as `{example}`", r"^[a-z][a-z0-9-]*\.[a-z0-9-]+$"
    return setting(doc, unit="", change="new machines only", why=why, form=form, pattern=pattern)


def disk_size(doc: str) -> Any:
    """Return the setting of the size of a root disk."""
    return setting(doc, unit="GiB", change="new machines only", ge=8, le=16384)


def kept_versions() -> Any:
    """Return the setting of how long a bucket keeps what was overwritten or deleted in it."""
    doc = "Days that an overwritten or deleted object can still be brought back"
    return setting(doc, unit="days", change="free", ge=1, le=3650)


def listed(value: object) -> object:
    """Turn a TOML list into the tuple that a frozen spec holds; anything else is left to be refused."""
    return tuple(value) if isinstance(value, list) else value


def each_once(values: tuple[int, ...]) -> tuple[int, ...]:
    """Refuse a number that stands twice in a list. Raises ValueError."""
    if len(set(values)) < len(values):
        raise ValueError(f"a number stands twice in {list(values)}")
    return values
