"""EBS volumes that emulated machines can use: a folder each, which outlives the machines.

Seams: `EC2Backend.attach_volume`, `detach_volume` and `delete_volume`. An attached volume is at the place
where Linux shows it by its id; the programs `mount`, `blkid` and `mkfs` of emulated machines know what to do
with it. moto also attaches a volume to several machines at once; drop that part when it does not.
"""

from __future__ import annotations

import contextlib
import functools
import shutil
from pathlib import Path
from typing import Any

from moto.ec2.exceptions import VolumeInUseError
from moto.ec2.models import EC2Backend

from sandbox.nodes import Nodes
from sandbox.parts import Parts

_BY_ID = "dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_"
"""https://docs.aws.amazon.com/ebs/latest/userguide/identify-nvme-ebs-device.html"""
_ENDED = ("shutting-down", "terminated")


def install(parts: Parts) -> None:
    """Give volumes folders."""
    attach, detach, delete = EC2Backend.attach_volume, EC2Backend.detach_volume, EC2Backend.delete_volume

    @functools.wraps(attach)
    def attach_volume(self: Any, volume_id: str, instance_id: str, *args: Any, **kwargs: Any) -> Any:
        held = self.get_volume(volume_id).attachment
        if held is not None and held.instance.state not in _ENDED:
            raise VolumeInUseError(volume_id, held.instance.id)
        attachment = attach(self, volume_id, instance_id, *args, **kwargs)
        _show(parts.nodes, volume_id, instance_id)
        return attachment

    @functools.wraps(detach)
    def detach_volume(self: Any, volume_id: str, instance_id: str | None, *args: Any, **kwargs: Any) -> Any:
        held = self.get_volume(volume_id).attachment
        holder = instance_id or (held.instance.id if held else "")
        attachment = detach(self, volume_id, holder, *args, **kwargs)
        _hide(parts.nodes, volume_id, holder)
        return attachment

    @functools.wraps(delete)
    def delete_volume(self: Any, volume_id: str) -> Any:
        volume = delete(self, volume_id)
        shutil.rmtree(parts.nodes.place.volumes / volume_id, ignore_errors=True)
        return volume

    EC2Backend.attach_volume, EC2Backend.detach_volume = attach_volume, detach_volume
    EC2Backend.delete_volume = delete_volume


def _device(root: Path, volume_id: str) -> Path:
    return root / f"{_BY_ID}{volume_id.replace('-', '')}"


def _show(nodes: Nodes, volume_id: str, instance_id: str) -> None:
    """Show the volume on the machine; one that is not there yet, as at its launch, needs none of them."""
    node = nodes.get(instance_id)
    if node is None:
        return
    folder = nodes.place.volumes / volume_id
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    device = _device(node.root, volume_id)
    device.parent.mkdir(parents=True, exist_ok=True)
    device.unlink(missing_ok=True)
    device.symlink_to(folder)


def _hide(nodes: Nodes, volume_id: str, instance_id: str) -> None:
    if node := nodes.get(instance_id):
        with contextlib.suppress(OSError):
            _device(node.root, volume_id).unlink()
