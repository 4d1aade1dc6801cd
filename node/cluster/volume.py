"""The state volume of a head: what the cluster must not forget when its head is replaced lies on it."""

from __future__ import annotations

import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from node.aws import aws_errors
from node.cluster.machine import Machine
from node.mounts import is_mounted

DEVICE = "/dev/sdf"
"""Name that the volume is attached under; a machine shows it under another (`/dev/nvme1n1`)."""
_BY_ID = "dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_"
_EMPTY_EXIT = 2
"""blkid's exit code for a device on which it finds nothing that it knows."""
_LOOKED_AT_BYTES = 4 * 1024 * 1024
_WAIT_SECONDS = 600.0
_POLL_SECONDS = 1.0


class VolumeError(Exception):
    """The state volume cannot be had or used; one line."""


def ensure_volume(ec2: Any, machine: Machine, volume_id: str, instance_id: str) -> None:
    """Attach the volume here, make its file system if it is empty, and mount it. Raises VolumeError.

    The head before has to be gone: EBS gives a volume to one machine at a time, so there is one head.
    """
    if is_mounted(machine.state):
        return
    _attach(ec2, volume_id, instance_id)
    device = _wait_for_device(machine, volume_id)
    if _is_empty(device):
        _run("mkfs.ext4", "-q", str(device))
    machine.state.mkdir(parents=True, exist_ok=True)
    _run("mount", "-o", "noatime,nodev,nosuid", str(device), str(machine.state))
    if not machine.emulated:
        _remember(device, machine.state)


def _attach(ec2: Any, volume_id: str, instance_id: str) -> None:
    deadline = time.monotonic() + _WAIT_SECONDS
    while True:
        volume = ec2.describe_volumes(VolumeIds=[volume_id])["Volumes"][0]
        holders = [each for each in volume["Attachments"] if each["State"] != "detached"]
        if any(each["InstanceId"] == instance_id and each["State"] == "attached" for each in holders):
            return
        try:
            if not holders:
                ec2.attach_volume(VolumeId=volume_id, InstanceId=instance_id, Device=DEVICE)
            for each in holders:
                _release(ec2, volume_id, each["InstanceId"], instance_id)
        except aws_errors() as error:  # it may just be changing hands
            print(f"the state volume cannot be attached yet: {error}", file=sys.stderr)
        if time.monotonic() > deadline:
            held = ", ".join(each["InstanceId"] for each in holders) or "nobody"
            raise VolumeError(f"the state volume {volume_id} could not be attached; {held} holds it")
        time.sleep(_POLL_SECONDS)


def _release(ec2: Any, volume_id: str, holder: str, instance_id: str) -> None:
    """Take the volume from a machine that does not run any more; from one that runs, never."""
    if holder == instance_id:
        return
    answer = ec2.describe_instances(Filters=[{"Name": "instance-id", "Values": [holder]}])
    states = [each["State"]["Name"] for group in answer["Reservations"] for each in group["Instances"]]
    if all(state in ("terminated", "stopped") for state in states):
        ec2.detach_volume(VolumeId=volume_id, InstanceId=holder, Force=True)


def _wait_for_device(machine: Machine, volume_id: str) -> Path:
    device = machine.root / (_BY_ID + volume_id.replace("-", ""))
    deadline = time.monotonic() + _WAIT_SECONDS
    while not device.exists():
        if time.monotonic() > deadline:
            raise VolumeError(f"the state volume {volume_id} is attached, but {device} did not appear")
        time.sleep(_POLL_SECONDS)
    return device


def _is_empty(device: Path) -> bool:
    """Return whether nothing has ever been written there: only then may a file system be made.

    Two must agree, for blkid says the same of an empty device as of one that it cannot read.
    """
    found = subprocess.run(["blkid", str(device)], capture_output=True, check=False)
    if found.returncode != _EMPTY_EXIT:
        return False
    if not stat.S_ISBLK(device.stat().st_mode):
        return True
    with device.open("rb") as file:
        beginning = file.read(_LOOKED_AT_BYTES)
    if beginning.strip(b"\0"):
        raise VolumeError(f"{device} holds something that is no file system; nothing was changed")
    return True


def _remember(device: Path, target: Path) -> None:
    """Have it mounted at every later start of this machine; services wait for it."""
    line = f"{device} {target} ext4 noatime,nodev,nosuid,nofail 0 2\n"
    table = Path("/etc/fstab")
    known = table.read_text() if table.is_file() else ""
    if str(target) not in known.split():
        table.write_text(known + ("" if known.endswith("\n") or not known else "\n") + line)


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip() or f"exit code {done.returncode}").splitlines()[-1]
        raise VolumeError(f"{' '.join(command)}: {said}")
