"""The file systems of a machine: mounted at its first start, and looked after before every run.

`python -m node.mounts` mounts all that `storage.json` names. Exit code 1, with the reasons, where
something could not be mounted.
"""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from node.aws import client
from node.config import NodeConfig, read_node_config
from node.file_clients import ClientMissingError, ensure_client
from node.patience import persist
from node.store import Bucket

RUN_MOUNTS = "fsx-runs"
"""Folder at the root of a machine in which a run's own file system is mounted."""
RESULTS = "results"
"""Folder of a linked file system whose files go to the bucket."""
_MADE_BY_ROOT, _OPEN_TO_ALL = 0o755, 0o1777
_MOUNT_SECONDS = 120.0
_BOOT_PATIENCE_SECONDS = 60.0


class MountError(Exception):
    """A file system could not be mounted; the message is one line."""


@dataclass(frozen=True)
class Mount:
    """One file system as `storage.json` names it."""

    kind: str
    """`efs` or `lustre`."""
    at: str
    """Where it is mounted, `/shared`."""
    source: str
    options: str

    @classmethod
    def read(cls, told: Mapping[str, str]) -> Mount:
        """Return the mount that one entry of `mounts` describes."""
        if told["kind"] == "efs":
            # With TLS, and as the machine's role: the file system's policy admits nothing else.
            options = f"tls,iam,accesspoint={told['access_point']}"
            return cls("efs", told["at"], f"{told['file_system']}:/", options)
        return lustre_mount(told["dns_name"], told["mount_name"], told["at"])


def lustre_mount(dns_name: str, mount_name: str, at: str) -> Mount:
    """Return the mount of a Lustre file system; with locks that all machines see."""
    return Mount("lustre", at, f"{dns_name}@tcp:/{mount_name}", "relatime,flock")


def read_storage(bucket: Bucket, config: NodeConfig) -> dict[str, Any]:
    """Return what the environment tells of its file systems; empty where there are none."""
    if not config.storage_key:
        return {}
    body = bucket.get(config.storage_key)
    return json.loads(body) if body else {}


def mount_all(bucket: Bucket, config: NodeConfig) -> dict[str, Path]:
    """Mount what is not mounted yet and return where each is, by its place (`/shared`).

    Raises MountError with every one that could not be mounted.
    """
    failed, found = [], {}
    for told in read_storage(bucket, config).get("mounts", ()):
        mount = Mount.read(told)
        try:
            found[mount.at] = mount_one(bucket, config, mount)
        except MountError as error:
            failed.append(str(error))
    if failed:
        raise MountError("; ".join(failed))
    return found


def mount_one(bucket: Bucket, config: NodeConfig, mount: Mount) -> Path:
    """Mount a file system unless something is mounted there, and return where. Raises MountError.

    A client that the image lacks is installed first, from the bucket or from where the image gets packages.
    """
    target = config.root / mount.at.lstrip("/")
    if not is_mounted(target):
        try:
            ensure_client(bucket, mount.kind)
        except ClientMissingError as error:
            raise MountError(f"{mount.at} could not be mounted: {error}") from error
        target.mkdir(parents=True, exist_ok=True)
        done = _run(["mount", "-t", mount.kind, "-o", mount.options, mount.source, str(target)])
        if done is None or not is_mounted(target):
            # What is written there would land on the machine's own disk, and be lost with it.
            target.rmdir()
            why = f": {done}" if done else ""
            raise MountError(f"{mount.at} could not be mounted{why}")
        if mount.kind == "lustre":
            _open_to_teams(target)
    return target


def _open_to_teams(target: Path) -> None:
    """Let every team's user make files there, as in /tmp, where only root can.

    So a Lustre file system begins. Folders that somebody has given other rights stay as they are. EFS needs
    none of it: see its access point.
    """
    for folder in (target, target / RESULTS):
        try:
            found = folder.stat()
            if found.st_uid == os.geteuid() and stat.S_IMODE(found.st_mode) == _MADE_BY_ROOT:
                folder.chmod(_OPEN_TO_ALL)
        except FileNotFoundError:
            continue
        except OSError as error:
            print(f"{folder} can't be opened to the teams: {error}", file=sys.stderr)


def unmount(target: Path) -> None:
    """Unmount what is mounted there, even where its file system is gone; nothing there is no error."""
    if is_mounted(target):
        _run(["umount", "-l", str(target)])
    if target.is_dir() and not is_mounted(target):
        target.rmdir()


def is_mounted(target: Path) -> bool:
    """Return whether something is mounted there."""
    return subprocess.run(["mountpoint", "-q", str(target)], check=False).returncode == 0


def _run(command: Sequence[str]) -> str | None:
    """Return the last line of what the command said, None where it failed without a word or took too long."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_MOUNT_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    lines = (done.stderr or done.stdout).strip().splitlines()
    return lines[-1] if lines else ("" if done.returncode == 0 else None)


def main() -> int:
    """Mount everything; what fails is told on standard error."""
    config = read_node_config()
    bucket = Bucket(client("s3", config.region), config.artifact_bucket)
    try:
        persist(lambda: mount_all(bucket, config), _BOOT_PATIENCE_SECONDS)
    except MountError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
