"""What a machine mounts file systems with: looked for, and installed where its image lacks it.

First from the packages under `node/packages/` of the artifact bucket, which a machine of a closed network
reaches too; else from the package sources that the image knows. AWS's Deep Learning images promise neither
client.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from node.store import Bucket

PACKAGES = "node/packages/"
"""Folder of the artifact bucket in which packages lie; docs/storage.md, "The clients"."""
_SYSTEM_PROGRAMS = ("/sbin", "/usr/sbin", "/usr/local/sbin")
"""Where mount(8) finds its helpers, though a service's PATH may not name them."""
_INSTALL_SECONDS = 600.0


@dataclass(frozen=True)
class _Manager:
    """A package manager: what its packages end in, and how it installs them."""

    suffix: str
    install: tuple[str, ...]
    names: Mapping[str, str]
    """What it calls the client, by kind of file system."""


_MANAGERS = {
    "apt-get": _Manager(
        ".deb",
        # Another one may be at work when a machine starts.
        ("apt-get", "-o", "DPkg::Lock::Timeout=180", "install", "--yes", "--no-install-recommends"),
        {"efs": "amazon-efs-utils", "lustre": f"lustre-client-modules-{platform.release()}"},
    ),
    "dnf": _Manager(
        ".rpm",
        # The sources of a closed network's machine do not answer; the packages at hand must do.
        ("dnf", "install", "--assumeyes", "--setopt=*.skip_if_unavailable=1"),
        {"efs": "amazon-efs-utils", "lustre": "lustre-client"},
    ),
}


class ClientMissingError(Exception):
    """The machine has no client for that file system and none could be installed; one line."""


def ensure_client(bucket: Bucket, kind: str) -> None:
    """Install the client of `efs` or `lustre` unless it is there. Raises ClientMissingError."""
    if has_client(kind):
        return
    manager = next((each for program, each in _MANAGERS.items() if shutil.which(program)), None)
    if manager is None:
        raise ClientMissingError(f"the image has no {kind} client, and neither apt-get nor dnf to install it")
    name = manager.names[kind]
    with tempfile.TemporaryDirectory(prefix="fleetform-packages-") as folder:
        files = _fetch(bucket, manager.suffix, Path(folder))
        said = _install([*manager.install, *files, *(() if files else (name,))])
    if not has_client(kind):
        where = f"s3://{bucket.name}/{PACKAGES}"
        tried = f"the packages of {where}" if files else f"the package {name}"
        advice = "" if files else f"; put it and what it needs ({manager.suffix} files) under {where}"
        raise ClientMissingError(
            f"the image has no {kind} client, and {tried} did not bring it: {said}{advice}"
        )


def has_client(kind: str) -> bool:
    """Return whether mount(8) would find its helper for that kind."""
    return (
        shutil.which(f"mount.{kind}", path=os.pathsep.join((os.environ.get("PATH", ""), *_SYSTEM_PROGRAMS)))
        is not None
    )


def _fetch(bucket: Bucket, suffix: str, folder: Path) -> list[str]:
    """Bring the packages of that suffix from the bucket into the folder, and return their paths."""
    found = []
    for key in sorted(bucket.sizes(PACKAGES)):
        body = bucket.get(key) if key.endswith(suffix) else None
        if body is not None:
            path = folder / key.rpartition("/")[2]
            path.write_bytes(body)
            found.append(str(path))
    return found


def _install(command: Sequence[str]) -> str:
    """Run the package manager and return the last line of what it said."""
    surroundings = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            timeout=_INSTALL_SECONDS,
            env=surroundings,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    lines = (done.stderr.strip() or done.stdout.strip() or "it said nothing").splitlines()
    return lines[-1]
