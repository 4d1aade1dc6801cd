"""Machine images: is each there, fit for its machines, and no larger than their disks?"""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fleet import aws
from fleet.preflights.case import LiveCase, fleets_of
from fleet.preflights.subnets import is_missing
from stacks.fleet_spec import FleetSpec, HeadSpec
from stacks.problems import Problem

_PARAMETER = "ssm:"
"""Beginning of an image that is named by a public parameter of Systems Manager."""


@dataclass(frozen=True)
class _Found:
    """An image as the file names it, and what there is by that name."""

    parameter_missing: bool
    image_id: str
    image: Mapping[str, Any] | None


def images_are_there(case: LiveCase) -> Iterator[Problem]:
    """Every image, and the parameter that it is named by, is there in the region and available."""
    for path, machine in _machines(case):
        found = _find(case, machine.image)
        if found.parameter_missing:
            name = machine.image.removeprefix(_PARAMETER)
            yield case.problem(
                f"{path}.image",
                f"there is no parameter {name} in {case.spec.region}",
                "list those that there are: `aws ssm get-parameters-by-path --recursive --path "
                f"{name.rpartition('/latest')[0].rpartition('/')[0] or '/aws/service'}`",
            )
        elif found.image is None:
            yield case.problem(
                f"{path}.image",
                f"there is no image {found.image_id} in {case.spec.region} that this account may use",
                "images belong to one region: copy it there, or have its owner share it",
            )
        elif found.image.get("State", "available") != "available":
            yield case.problem(
                f"{path}.image",
                f"the image {found.image_id} is {found.image['State']}",
                "wait until it is available, or take another",
            )


def images_suit_their_machines(case: LiveCase) -> Iterator[Problem]:
    """Every image has the architecture of its machines and fits on their root disk."""
    for path, machine in _machines(case):
        image = _find(case, machine.image).image
        if image is None:
            continue
        runs = _architectures(case, machine.instance_type)
        if runs and image["Architecture"] not in runs:
            yield case.problem(
                f"{path}.image",
                f"{image['ImageId']} is for {image['Architecture']}, {machine.instance_type} runs "
                f"{' and '.join(runs)}",
                f"take an image for {runs[0]}",
            )
        size = _root_gib(image)
        if size > machine.root_volume_gib:
            yield case.problem(
                f"{path}.root_volume_gib",
                f"{machine.root_volume_gib} GiB where the image {image['ImageId']} alone has {size}",
                f"take at least {size}, and room for what the machine writes",
            )


def images_are_supported(case: LiveCase) -> Iterator[Problem]:
    """No image is past the day from which its publisher no longer supports it."""
    now = datetime.datetime.now(datetime.UTC)
    for path, machine in _machines(case):
        image = _find(case, machine.image).image
        day = image.get("DeprecationTime") if image else None
        if image and day and datetime.datetime.fromisoformat(str(day)) < now:
            yield case.problem(
                f"{path}.image",
                f"the image {image['ImageId']} is deprecated since {str(day)[:10]}",
                "take a newer one; a public parameter names the newest by itself",
            )


def _machines(case: LiveCase) -> Iterator[tuple[str, HeadSpec | FleetSpec]]:
    yield "head", case.spec.head
    yield from fleets_of(case)


def _find(case: LiveCase, named: str) -> _Found:
    """Look an image up by what the file says."""
    image_id: str | None = named
    if named.startswith(_PARAMETER):
        image_id = _parameter(case, named.removeprefix(_PARAMETER))
        if image_id is None:
            return _Found(parameter_missing=True, image_id="", image=None)
    assert image_id is not None
    return _Found(parameter_missing=False, image_id=image_id, image=_image(case, image_id))


def _parameter(case: LiveCase, name: str) -> str | None:
    def look() -> str | None:
        try:
            return str(case.client("ssm").get_parameter(Name=name)["Parameter"]["Value"])
        except Exception as error:
            if aws.error_code(error) != "ParameterNotFound":
                raise
            return None

    return case.ask("the parameters that name images", "ssm:GetParameter", look, name)


def _image(case: LiveCase, image_id: str) -> Mapping[str, Any] | None:
    def look() -> Mapping[str, Any] | None:
        try:
            answer = case.client("ec2").describe_images(ImageIds=[image_id], IncludeDeprecated=True)
        except Exception as error:
            if is_missing(error) or aws.error_code(error) == "InvalidAMIID.Unavailable":
                return None
            raise
        return next(iter(answer["Images"]), None)

    return case.ask("the machine images", "ec2:DescribeImages", look, image_id)


def _architectures(case: LiveCase, instance_type: str) -> list[str]:
    """Return what the type runs; nothing where the region does not know it, which another rule tells."""

    def look() -> list[str]:
        try:
            answer = case.client("ec2").describe_instance_types(InstanceTypes=[instance_type])
        except Exception as error:
            if aws.error_code(error) == "InvalidInstanceType":
                return []
            raise
        return [str(each) for each in answer["InstanceTypes"][0]["ProcessorInfo"]["SupportedArchitectures"]]

    return case.ask("what machines have", "ec2:DescribeInstanceTypes", look, "architectures", instance_type)


def _root_gib(image: Mapping[str, Any]) -> int:
    """Return the size of the image's root disk in GiB, 0 where it has none on EBS."""
    return next(
        (
            int(each["Ebs"].get("VolumeSize", 0))
            for each in image.get("BlockDeviceMappings", [])
            if each.get("DeviceName") == image.get("RootDeviceName") and "Ebs" in each
        ),
        0,
    )
