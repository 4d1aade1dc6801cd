"""Texts that make a machine a node: its user data, and the command that runs a module of the node bundle."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, kw_only=True)
class UserData:
    """What a machine runs at its first start: who it is, and where its node bundle lies."""

    template: ClassVar[str] = "node/user_data.sh.j2"

    environment: str
    region: str
    artifact_bucket: str
    dataset_bucket: str
    role: str
    """`head` or `node`."""
    fleet: str
    """Name of the fleet, "" on the head node."""
    node_document: str
    """Systems Manager document that the head node sends to the nodes of a run."""
    python: str
    """Absolute path of the image's Python with boto3 (and torch, on a node)."""
    bundle_key: str
    """Key of the node bundle in the artifact bucket."""
    run_as: str
    """User of the operating system that sessions run as."""
    scratch: bool
    """Whether local NVMe disks are joined at `/scratch`."""
    bundle_sha256: str
    """SHA-256 of the tar in it, lowercase hexadecimal; anything else is not unpacked."""
    scheduler: str = "plain"
    """`slurm`, or `plain` for our own dispatcher."""
    storage_key: str = ""
    """Key of what tells it of the file systems to mount, in the artifact bucket; "" where there are none."""


@dataclass(frozen=True)
class NodeCommand:
    """`bin/fleetform-node` of the node bundle; the same in every environment."""

    template: ClassVar[str] = "node/fleetform_node.sh.j2"
