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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from sandbox.hardware import local_gpus
from sandbox.layouts.base import LayoutError, Seat
from sandbox.processes import NODE_VARIABLE, spawn

TERMINATE_GRACE_SECONDS = 2.0
"""What an operating system that shuts down grants between SIGTERM and SIGKILL, shortened."""

_FOLDERS = ("etc", "opt", "tmp", "var/lib", "var/log")
_ENABLED_UNITS = "etc/systemd/system/multi-user.target.wants"
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
    environment: str = ""
    """The environment that it belongs to, "" for none of fleetform's."""
    name: str = ""
    """Its name in Slurm, "" while it has none."""


class Node:
    """A node from its first start to its termination."""

    def __init__(
        self,
        machine: Machine,
        *,
        root: Path,
        programs: Path,
        seat: Seat,
        cores: frozenset[int],
        gpus: tuple[str, ...],
        variables: Mapping[str, str],
        search: Sequence[str] = (),
    ) -> None:
        """`search` has folders of programs beside the usual ones."""
        self.machine = machine
        self.root = root
        self.programs = programs
        self.seat = seat
        self.cores = cores
        self.gpus = gpus
        self.environment = self._environment(variables, search)
        self.booted = threading.Event()
        """Set when the user data has ended; the node takes commands from then on."""
        self.name = machine.name
        """Its name in Slurm, `head` for a head."""
        self.running = True
        self.terminated = False
        self.ends_at: float | None = None
        """When EC2 takes the spot instance back, seconds since the epoch; None while it has not said so."""
        self.disk_full = False
        """Whether nothing that starts on it may write to a file (sandbox/full_disks.py)."""

    @property
    def address(self) -> str:
        """The private address that EC2 gives."""
        return self.seat.address

    @property
    def is_online(self) -> bool:
        """Whether the node's agent would answer."""
        return self.running and self.booted.is_set()

    def first_boot(self) -> None:
        """Make the file system and run the user data, in the background."""
        self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        for folder in _FOLDERS:
            (self.root / folder).mkdir(parents=True, exist_ok=True)
        if self.seat.is_ready:
            self._boot()
        else:
            threading.Thread(target=self._boot, daemon=True).start()

    def _boot(self) -> None:
        """Switch the node on and run its user data."""
        try:
            self.seat.power_on()
        except LayoutError as error:  # nobody will answer, as with an instance that does not come up
            (self.root / "var/log/boot.log").write_text(f"the machine cannot start: {error}\n")
            return
        if not self.running:  # it was ended meanwhile
            self.seat.lose_power()
            return
        if not self.machine.user_data.startswith(b"#!"):
            self.booted.set()
            return
        script = self.root / "var/lib/user-data"
        script.write_bytes(self.machine.user_data)
        script.chmod(0o700)
        with (self.root / "var/log/boot.log").open("wb") as log:
            try:
                process = self.spawn([script], output=log, errors=log)
            except NodeGoneError:
                return
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
        typed: IO[bytes] | None = None,
    ) -> subprocess.Popen[bytes]:
        """Start a process on this node; raises NodeGoneError where the node does not run.

        It reads what is `typed`, without which it finds nothing to read.
        """
        if not self.running:
            raise NodeGoneError(self.machine.id)
        where = folder or self.root
        limits = ["prlimit", "--fsize=0:", "--"] if self.disk_full else []
        return spawn(
            [*limits, *self.seat.command(command, where)],
            environment={**self.environment, **(extra or {})},
            folder=where,
            output=output,
            errors=errors,
            cores=self.cores,
            typed=typed,
        )

    def shut_down(self) -> None:
        """End every process of the node; the files stay."""
        self.running = False
        self.seat.shut_down(TERMINATE_GRACE_SECONDS)

    def start_again(self) -> None:
        """Switch a stopped node on: its services start; as in the cloud, user data does not run again."""
        self.seat.power_on()
        self.running = True
        if (self.root / _ENABLED_UNITS).is_dir():
            with (self.root / "var/log/boot.log").open("ab") as log:
                self.spawn([self.programs / "systemctl", "default"], output=log, errors=log)

    def lose_power(self) -> None:
        """Kill every process of the node at once; the files stay."""
        self.running = False
        self.seat.lose_power()

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

    def _environment(self, variables: Mapping[str, str], search: Sequence[str]) -> dict[str, str]:
        """Return a process's environment: the cloud's variables, and of this machine's nothing secret."""
        temporary = self.root / "tmp"
        own = {
            "FLEETFORM_ROOT": str(self.root),
            "FLEETFORM_PYTHON": sys.executable,
            NODE_VARIABLE: self.machine.id,
            "HOME": str(self.root),
            # Mounting is emulated; the awscli package's `aws` lies beside the server's Python.
            "PATH": os.pathsep.join(
                [
                    str(self.programs),
                    str(Path(sys.executable).parent),
                    *search,
                    "/usr/local/bin",
                    os.defpath,
                ]
            ),
            "LANG": "C.UTF-8",
            "AWS_REGION": self.machine.region,
            "AWS_DEFAULT_REGION": self.machine.region,
            "CUDA_VISIBLE_DEVICES": ",".join(self.gpus),
            **self.seat.variables,
        }
        if search and not local_gpus():
            del own["CUDA_VISIBLE_DEVICES"]  # Slurm's own stands: it deals out devices that are none
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
