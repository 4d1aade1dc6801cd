"""The file systems of an environment: which there are, and what machines are told of them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from stacks import naming
from stacks.account import AccountSpec
from stacks.aws.generated import kms, s3
from stacks.aws.layer import Ref
from stacks.base_outputs import BaseOutputs
from stacks.cdk import Stack
from stacks.environment import EnvironmentSpec
from stacks.fast_files import FastFiles, add_persistent, add_scratch
from stacks.network import Network
from stacks.shared_files import add_shared_files
from stacks.storage_buckets import Buckets
from stacks.storage_security import add_storage_group
from stacks.tags import environment_tags

STORAGE_KEY = "node/storage.json"
"""Object of the artifact bucket that tells machines of the file systems; node/mounts.py reads it.

No part of their user data: machines that run learn of a change, and the ids are Terraform's to know.
"""


@dataclass(frozen=True, kw_only=True)
class FileSystems:
    """The lasting file systems by what a machine mounts them by; "" for each thing that there is not."""

    security_group_id: str = ""
    shared_id: str = ""
    shared_access_point: str = ""
    fast_dns_name: str = ""
    fast_mount_name: str = ""


def add_file_systems(
    stack: Stack,
    account: AccountSpec,
    spec: EnvironmentSpec,
    key: kms.KmsKey,
    network: Network,
    buckets: Buckets,
    roles: tuple[Ref, ...],
) -> FileSystems:
    """Add to the base stack the file systems that last, and the security group of all.

    `roles` are the ARNs of the machines' roles.
    """
    if not has_file_systems(spec):
        return FileSystems()
    group = add_storage_group(stack, spec, network.vpc_id, network.nodes_security_group_id)
    found: dict[str, str] = {"security_group_id": group.id}
    if spec.efs.enabled:
        shared = add_shared_files(stack, spec, key, network.subnet_ids, group.id, roles)
        found |= {"shared_id": shared.id, "shared_access_point": shared.access_point}
    if spec.fsx.kind == "persistent":
        subnet = network.subnet_ids[_fast_zone(spec)]
        fast = add_persistent(stack, account, spec, key, subnet, group, buckets)
        found |= {"fast_dns_name": fast.dns_name, "fast_mount_name": fast.mount_name}
    return FileSystems(**found)


def has_file_systems(spec: EnvironmentSpec) -> bool:
    """Return whether machines of the environment mount anything, be it for the length of a run."""
    return spec.efs.enabled or spec.fsx.kind != "none" or spec.fsx.run_max_gib > 0


def storage_key(spec: EnvironmentSpec) -> str:
    """Return the key under which machines find what they mount, "" where there is nothing to mount."""
    return STORAGE_KEY if has_file_systems(spec) else ""


def add_fleet_storage(
    stack: Stack, account: AccountSpec, spec: EnvironmentSpec, base: BaseOutputs
) -> list[s3.S3Object]:
    """Add to the fleet stack the scratch file system and what machines are told; return what they need."""
    if not has_file_systems(spec):
        return []
    fast = FastFiles(base.fast_dns_name, base.fast_mount_name)
    if spec.fsx.kind == "scratch":
        subnet = base.subnet_ids[_fast_zone(spec)]
        fast = add_scratch(stack, account, spec, subnet, base.storage_security_group_id)
    content = json.dumps(_storage_file(stack, spec, base, fast), indent=2, sort_keys=True)
    return [
        s3.S3Object(
            stack,
            "storage",
            bucket=base.artifact_bucket,
            key=STORAGE_KEY,
            content=content,
            content_type="application/json",
        )
    ]


def _fast_zone(spec: EnvironmentSpec) -> int:
    """Return which of the zones a fast file system stands in: that of the first fleet that names one.

    A file system has one zone, and what goes to another is slower and is paid for.
    """
    zones = [fleet.zone for fleet in spec.fleets.values() if fleet.zone in spec.network.zone_names]
    return spec.network.zone_names.index(zones[0]) if zones else 0


def _storage_file(stack: Stack, spec: EnvironmentSpec, base: BaseOutputs, fast: FastFiles) -> dict[str, Any]:
    """Return what machines are told: docs/storage.md, "How machines mount"."""
    mounts: list[dict[str, str]] = []
    if spec.efs.enabled:
        shared = {"file_system": base.shared_id, "access_point": base.shared_access_point}
        mounts.append({"kind": "efs", "at": naming.SHARED_MOUNT, **shared})
    if spec.fsx.kind != "none":
        names = {"dns_name": fast.dns_name, "mount_name": fast.mount_name}
        mounts.append({"kind": "lustre", "at": naming.FAST_MOUNT, **names})
    told: dict[str, Any] = {"mounts": mounts}
    if spec.fsx.run_max_gib:
        told["run_file_systems"] = {
            "max_gib": spec.fsx.run_max_gib,
            "security_group_id": base.storage_security_group_id,
            "tags": environment_tags(spec, stack.name),
        }
    return told
