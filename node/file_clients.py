"""What a machine mounts file systems with: looked for, and installed where its image lacks it.

First from the packages under `node/packages/` of the artifact bucket, which a machine of a closed network
reaches too; else from the package sources that the image knows. AWS's Deep Learning images promise neither
client.
"""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from node.store import Bucket
from node.system_packages import fetch_packages, run_manager

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
        files = fetch_packages(bucket, PACKAGES, Path(folder), lambda key: key.endswith(manager.suffix))
        install = [*manager.install, *files, *(() if files else (name,))]
        said = run_manager(install, _INSTALL_SECONDS) or "it said nothing"
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
