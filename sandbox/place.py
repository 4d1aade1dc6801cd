"""Where the embedded cloud keeps its files, below a project's working folder."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

CLOUD_NAME = "sandbox"
"""The name under which the embedded cloud is made known to the project."""


@dataclass(frozen=True)
class Place:
    """The files of one embedded cloud; there is one cloud per working folder."""

    home: Path
    """The project's working folder (`.fleetform`)."""

    @property
    def folder(self) -> Path:
        """The embedded cloud's own folder."""
        return self.home / "sandbox"

    @property
    def lock(self) -> Path:
        """Held with flock by the server for as long as it lives, and released by the kernel when it dies."""
        return self.folder / "lock"

    @property
    def start_lock(self) -> Path:
        """Held with flock by whoever is starting the server, so that two starts make one."""
        return self.folder / "start.lock"

    @property
    def record(self) -> Path:
        """What the running server says of itself; worth nothing unless the lock is held."""
        return self.folder / "server.json"

    @property
    def port(self) -> Path:
        """The port of the last server, taken again if it is free: endpoints end up in recorded URLs."""
        return self.folder / "port"

    @property
    def log(self) -> Path:
        """Standard output and error of the server."""
        return self.folder / "server.log"

    @property
    def nodes(self) -> Path:
        """One folder per emulated node, its file system."""
        return self.folder / "nodes"

    @property
    def file_systems(self) -> Path:
        """One folder per file system, EFS and FSx."""
        return self.folder / "file-systems"

    @property
    def programs(self) -> Path:
        """Programs that an emulated node has instead of the machine's own."""
        return self.folder / "programs"

    @property
    def volumes(self) -> Path:
        """One folder per EBS volume that was ever attached."""
        return self.folder / "volumes"

    @property
    def machines(self) -> Path:
        """One folder per environment with what Slurm finds of its machines."""
        return self.folder / "machines"

    @property
    def hosts(self) -> Path:
        """Names and addresses of the machines that have namespaces, as in `/etc/hosts`."""
        return self.folder / "network" / "hosts"

    @property
    def run_folder(self) -> Path:
        """The path of the folder of the machines' sockets, which lies elsewhere to be short."""
        return self.folder / "run-folder"

    @property
    def aws_config(self) -> Path:
        """An AWS configuration with nothing in it, so that the user's own never leaks in."""
        return self.folder / "aws-config"

    @property
    def cloud_file(self) -> Path:
        """The environment variables that lead to this cloud; `fleet/cloud.py` reads it."""
        return self.home / "clouds" / f"{CLOUD_NAME}.json"

    @property
    def choice(self) -> Path:
        """The name of the project's cloud; `fleet/cloud.py` reads it."""
        return self.home / "cloud"


def write_atomically(file: Path, text: str) -> None:
    """Replace the file's content in one step, making its folder where it is missing."""
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(f".{file.name}.{os.getpid()}")
    temporary.write_text(text)
    temporary.replace(file)


def write_json(file: Path, value: object) -> None:
    """Replace the file's content by the value as JSON, in one step."""
    write_atomically(file, json.dumps(value, indent=2) + "\n")
