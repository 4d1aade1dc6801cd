"""One emulated node: a folder that stands for its file system, and processes on this machine."""

from __future__ import annotations

import base64
import binascii
import contextlib
import gzip
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from sandbox.processes import NODE_VARIABLE, end_marked, spawn

TERMINATE_GRACE_SECONDS = 2.0
"""What an operating system that shuts down grants between SIGTERM and SIGKILL, shortened."""

_FOLDERS = ("etc", "opt", "tmp", "var/lib", "var/log")
_TEMPORARY_PATH_LIMIT = 60
"""Unix sockets are made in TMPDIR, and their paths may not be longer than 107 bytes."""


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What the cloud's API knows of an instance that is about to run."""

    id: str
    region: str
    user_data: bytes
    """The script as it was given, unpacked; b"" for none."""
    gpus: int
    """GPUs of its instance type."""
    sharers: int
    """Nodes of its group, itself included, among which the machine's GPUs are divided."""
    is_head: bool


class Node:
    """A node from its first start to its termination."""

    def __init__(
        self,
        machine: Machine,
        *,
        root: Path,
        programs: Path,
        address: str,
        cores: frozenset[int],
        gpus: tuple[str, ...],
        variables: Mapping[str, str],
    ) -> None:
        self.machine = machine
        self.root = root
        self.programs = programs
        self.address = address
        self.cores = cores
        self.gpus = gpus
        self.environment = self._environment(variables)
        self.booted = threading.Event()
        """Set when the user data has ended; the node takes commands from then on."""
        self.running = True
        self.terminated = False
        self.ends_at: float | None = None
        """When EC2 takes the spot instance back, seconds since the epoch; None while it has not said so."""

    @property
    def is_online(self) -> bool:
        """Whether the node's agent would answer."""
        return self.running and self.booted.is_set()

    def first_boot(self) -> None:
        """Make the file system and run the user data, in the background."""
        for folder in _FOLDERS:
            (self.root / folder).mkdir(parents=True, exist_ok=True)
        if not self.machine.user_data.startswith(b"#!"):
            self.booted.set()
            return
        script = self.root / "var/lib/user-data"
        script.write_bytes(self.machine.user_data)
        script.chmod(0o700)
        with (self.root / "var/log/boot.log").open("wb") as log:
            try:
                process = self.spawn([script], output=log, errors=log)
            except OSError as error:  # an interpreter that this machine does not have
                log.write(f"user data cannot run: {error}\n".encode())
                self.booted.set()
                return
        threading.Thread(target=self._wait_for_boot, args=[process], daemon=True).start()

    def spawn(
        self,
        command: list[str | Path],
        *,
        output: IO[bytes],
        errors: IO[bytes],
        extra: Mapping[str, str] | None = None,
        folder: Path | None = None,
    ) -> subprocess.Popen[bytes]:
        """Start a process on this node; raises NodeGoneError where the node does not run."""
        if not self.running:
            raise NodeGoneError(self.machine.id)
        return spawn(
            command,
            environment={**self.environment, **(extra or {})},
            folder=folder or self.root,
            output=output,
            errors=errors,
            cores=self.cores,
        )

    def shut_down(self) -> None:
        """End every process of the node; the files stay."""
        self.running = False
        end_marked(NODE_VARIABLE, self.machine.id, grace_s=TERMINATE_GRACE_SECONDS)

    def terminate(self) -> None:
        """End every process of the node and remove its files."""
        self.terminated = True
        self.shut_down()
        shutil.rmtree(self.root, ignore_errors=True)

    def _wait_for_boot(self, process: subprocess.Popen[bytes]) -> None:
        code = process.wait()
        with contextlib.suppress(OSError), (self.root / "var/log/boot.log").open("a") as log:
            log.write(f"user data ended with exit code {code}\n")  # unless the node was terminated meanwhile
        self.booted.set()

    def _environment(self, variables: Mapping[str, str]) -> dict[str, str]:
        """Return a process's environment: the cloud's variables, and of this machine's nothing secret."""
        temporary = self.root / "tmp"
        own = {
            "FLEETFORM_ROOT": str(self.root),
            "FLEETFORM_PYTHON": sys.executable,
            NODE_VARIABLE: self.machine.id,
            "HOME": str(self.root),
            # Mounting is emulated; the awscli package's `aws` lies beside the server's Python.
            "PATH": os.pathsep.join(
                [str(self.programs), str(Path(sys.executable).parent), "/usr/local/bin", os.defpath]
            ),
            "LANG": "C.UTF-8",
            "AWS_REGION": self.machine.region,
            "AWS_DEFAULT_REGION": self.machine.region,
            "CUDA_VISIBLE_DEVICES": ",".join(self.gpus),
            # All nodes are on this machine, so whatever picks a network interface must pick this one.
            "GLOO_SOCKET_IFNAME": "lo",
            "NCCL_SOCKET_IFNAME": "lo",
        }
        if len(str(temporary)) <= _TEMPORARY_PATH_LIMIT:
            own["TMPDIR"] = str(temporary)
        if library_path := os.environ.get("LD_LIBRARY_PATH"):
            own["LD_LIBRARY_PATH"] = library_path
        return {**own, **variables}


class NodeGoneError(Exception):
    """The node does not run."""


def decode_user_data(text: str) -> bytes:
    """Return user data as its script: base64, gzip inside or not, as EC2 takes it; b"" for none."""
    if not text:
        return b""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        data = text.encode()
    return gzip.decompress(data) if data.startswith(b"\x1f\x8b") else data
