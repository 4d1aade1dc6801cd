"""Which listing tells what holds a resource of each of Terraform's types."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from fleet.holders.holder import Holder, Teardown
from fleet.holders.identities import on_role
from fleet.holders.machines import on_disk, on_machines
from fleet.holders.network import on_gateway, on_group, on_subnet, on_vpc
from fleet.holders.stores import on_bucket, on_fast_files, on_shared_files
from fleet.terraform_state import StateResource

FINDERS: Final[dict[str, Callable[[Teardown, StateResource], Iterator[Holder]]]] = {
    "aws_autoscaling_group": on_machines,
    "aws_ebs_volume": on_disk,
    "aws_efs_file_system": on_shared_files,
    "aws_fsx_lustre_file_system": on_fast_files,
    "aws_iam_role": on_role,
    "aws_internet_gateway": on_gateway,
    "aws_placement_group": on_machines,
    "aws_s3_bucket": on_bucket,
    "aws_security_group": on_group,
    "aws_subnet": on_subnet,
    "aws_vpc": on_vpc,
}
"""The types that something else can hold; the others go when they are told to."""


def find_holders(teardown: Teardown, resources: Iterable[StateResource]) -> list[Holder]:
    """Return what holds these resources by the cloud's own listings, each once; raises what it answers."""
    found: dict[tuple[str, str], Holder] = {}
    for resource in resources:
        finder = FINDERS.get(resource.kind)
        for each in finder(teardown, resource) if finder else ():
            found.setdefault((each.kind, each.id), each)
    return list(found.values())
