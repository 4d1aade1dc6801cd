"""EnvironmentSpec: what a team asks for, as `environments/<name>.toml` says it."""

from __future__ import annotations

import datetime
from ipaddress import IPv4Network
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, StringConstraints

from stacks.account import ACCOUNT_FILE
from stacks.fields import Spec, setting
from stacks.spec_file import load_spec

GPU_IMAGE = (
    "ssm:/aws/service/deeplearning/ami/x86_64/oss-nvidia-driver-gpu-pytorch-2.7-ubuntu-22.04/latest/ami-id"
)
"""AWS Deep Learning AMI with the NVIDIA driver, PyTorch 2.7 and boto3, by its public SSM parameter."""
IMAGE_PYTHON = "/opt/pytorch/bin/python3"
"""Where that image has the Python with torch and boto3."""
TAG_CHANGE = "machines that run, and their disks, keep the old tag"
"""What a change of a tag does not reach: a machine is tagged once, when its group starts it."""
EMAIL_PATTERN = r"^[A-Za-z0-9._+-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+$"


def parse_cidr(value: object) -> object:
    """Turn the text of a CIDR block into a network; anything else is left for the model to refuse.

    Raises ValueError, in words for the user, for a text that is no block or has host bits set.
    """
    if not isinstance(value, str):
        return value
    try:
        loose = IPv4Network(value, strict=False)
    except ValueError as error:
        raise ValueError(f"{value!r} is not an IPv4 block such as `10.20.0.0/16`") from error
    if "/" not in value or str(loose.network_address) != value.partition("/")[0]:
        raise ValueError(f"{value!r} is not the start of a block; the block around it is `{loose}`")
    return loose


Cidr = Annotated[IPv4Network, BeforeValidator(parse_cidr)]
FleetName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9]{0,19}$")]
"""Without hyphens, so that the group `a-b-c` can only be fleet `c` of environment `a-b`."""


def _image(doc: str) -> Any:
    form = "an image id (`ami-0123456789abcdef0`) or a public SSM parameter (`ssm:/aws/service/...`)"
    pattern = r"^(ami-[0-9a-f]{8,17}|ssm:/[A-Za-z0-9_./-]+)$"
    return setting(doc, unit="", change="new machines only", form=form, pattern=pattern)


def _python(doc: str) -> Any:
    form = "an absolute path of letters, digits and `_./+-`"
    return setting(doc, unit="", change="new machines only", form=form, pattern=r"^/[A-Za-z0-9_./+-]+$")


def _machine(doc: str, example: str, why: str = "") -> Any:
    form, pattern = f"an EC2 instance type such as `{example}`", r"^[a-z][a-z0-9-]*\.[a-z0-9-]+$"
    return setting(doc, unit="", change="new machines only", why=why, form=form, pattern=pattern)


def _disk(doc: str) -> Any:
    return setting(doc, unit="GiB", change="new machines only", ge=8, le=16384)


class NetworkSpec(Spec):
    """The environment's own private network."""

    cidr: Annotated[
        Cidr,
        setting(
            "Private IPv4 block of the network, /16 to /24, that no other environment uses",
            unit="CIDR block",
            change="refused",
            why="a network cannot be renumbered while anything stands in it",
        ),
    ]
    zones: Annotated[
        int,
        setting(
            "Availability zones the network spans, one private subnet in each",
            unit="zones",
            change="refused",
            why="the block is cut anew, so every subnet would be replaced",
            ge=2,
            le=3,
        ),
    ] = 2

    def subnets(self) -> tuple[IPv4Network, ...]:
        """Return one block per zone: both halves of the network, or three of its quarters."""
        bits = (self.zones - 1).bit_length()
        return tuple(islice(self.cidr.subnets(prefixlen_diff=bits), self.zones))


class HeadSpec(Spec):
    """The head node, where runs are queued and sent to the fleets."""

    instance_type: Annotated[
        str,
        _machine("EC2 instance type of the head node; it needs no GPU", "m6i.large"),
    ] = "m6i.large"
    root_volume_gib: Annotated[
        int,
        _disk("Size of the head node's disk (gp3, encrypted); not smaller than the image's own"),
    ] = 100
    image: Annotated[str, _image("Machine image of the head node; its Python must have boto3")] = GPU_IMAGE
    python: Annotated[str, _python("Python in that image that runs the dispatcher")] = IMAGE_PYTHON


class FleetSpec(Spec):
    """A group of equal GPU machines that runs are sent to."""

    instance_type: Annotated[
        str,
        _machine(
            "EC2 instance type of every node of the fleet",
            "g5.xlarge",
            why="runs count on the new type's GPUs at once, so end the nodes of the old type",
        ),
    ]
    nodes: Annotated[
        int,
        setting(
            "Nodes that run as soon as the fleet is up",
            unit="nodes",
            change="free",
            why="raising it starts machines, lowering it ends some, even those that a run is on",
            ge=0,
        ),
    ]
    max_nodes: Annotated[int, setting("Nodes that the fleet may grow to", unit="nodes", change="free", ge=1)]
    root_volume_gib: Annotated[
        int,
        _disk("Size of each node's disk (gp3, encrypted), which also holds datasets and checkpoints"),
    ] = 100
    image: Annotated[
        str,
        _image("Machine image of the nodes; its Python must have torch 2.6 or newer, numpy and boto3"),
    ] = GPU_IMAGE
    python: Annotated[str, _python("Python in that image that runs torchrun")] = IMAGE_PYTHON


class ArtifactsSpec(Spec):
    """The bucket of runs, datasets and models."""

    on_teardown: Annotated[
        Literal["retain", "delete"],
        setting(
            "What `fleetform down --base` does with the artifact bucket and all runs in it",
            unit="",
            change="free",
        ),
    ] = "retain"


class EnvironmentSpec(Spec):
    """One team's environment, everything that its file can say."""

    name: Annotated[
        str,
        setting(
            "Name of the environment, the same as the file's; every resource is named after it",
            unit="",
            change="refused",
            why="another name is another environment",
            form="2 to 20 lowercase letters, digits and hyphens, a letter first",
            pattern=r"^[a-z][a-z0-9-]{1,19}$",
        ),
    ]
    team: Annotated[
        str,
        setting(
            "Team that pays for it; a tag on every resource",
            unit="",
            change="free",
            why=TAG_CHANGE,
            form="2 to 40 lowercase letters, digits and hyphens, a letter first",
            pattern=r"^[a-z][a-z0-9-]{1,39}$",
        ),
    ]
    owner: Annotated[
        str,
        setting(
            "Person to ask about it; a tag on every resource",
            unit="",
            change="free",
            why=TAG_CHANGE,
            form="an e-mail address",
            pattern=EMAIL_PATTERN,
        ),
    ]
    region: Annotated[
        str,
        setting(
            "AWS region that it stands in",
            unit="",
            change="refused",
            why="nothing can move between regions",
            form="an AWS region such as `eu-central-1`",
            pattern=r"^[a-z]{2}(-[a-z]+)+-[0-9]$",
        ),
    ]
    lease_ends: Annotated[
        datetime.date,
        setting(
            "Last day on which it may stand, to the end of that day in UTC; a tag on every resource",
            unit="date",
            change="free",
            why=TAG_CHANGE,
        ),
    ]
    network: Annotated[
        NetworkSpec, setting("The private network", unit="", change="refused", why="see its settings")
    ]
    head: Annotated[HeadSpec, setting("The head node", unit="", change="new machines only")] = HeadSpec()
    fleets: Annotated[
        dict[FleetName, FleetSpec],
        setting(
            "The GPU fleets by name, each a table `[fleets.NAME]`",
            unit="",
            change="free",
            why="a fleet that is added is made, one taken out goes with its machines; renaming does both",
            form="1 to 20 lowercase letters and digits, a letter first",
        ),
    ]
    artifacts: Annotated[ArtifactsSpec, setting("The artifact bucket", unit="", change="free")] = (
        ArtifactsSpec()
    )

    @property
    def lease_until(self) -> datetime.datetime:
        """The moment the lease ends: midnight UTC after its last day."""
        day = datetime.datetime.combine(self.lease_ends, datetime.time(), datetime.UTC)
        return day + datetime.timedelta(days=1)


def load_environment(file: Path) -> EnvironmentSpec:
    """Read one environment's file. Raises UserError with every problem that the file has by itself."""
    return load_spec(EnvironmentSpec, file)


def environment_files(directory: Path) -> list[Path]:
    """Return the environments' files in the folder, sorted by name; the account's file is not one of them."""
    return sorted(file for file in directory.glob("*.toml") if file.name != ACCOUNT_FILE)
