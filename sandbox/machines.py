"""What Slurm finds of an environment's emulated machines: programs that know which one they are on.

Slurm starts prologs, epilogs, batch scripts and tasks with an environment of its own and by one path on all
machines. Emulated machines share this computer's files, so at that path lies a program that looks up the
machine by its Slurm name and becomes the machine's own. It lies outside of every machine, for it outlives a
head that is replaced.
"""

from __future__ import annotations

import contextlib
import shlex
import socket
import threading
import zlib
from collections.abc import Mapping
from pathlib import Path

from sandbox.layouts.base import Layout
from sandbox.place import Place

MACHINES_VARIABLE = "FLEETFORM_MACHINES"
"""The environment's folder: `bin/` with the programs, `<name>.env` with each machine's variables."""
PORTS_VARIABLE = "FLEETFORM_PORT_BASE"
"""The first of the environment's own ports, where all machines share this computer's."""
HEAD = "head"
"""The name of the machine that Slurm has no name for."""
PROGRAMS = (
    "prolog",
    "epilog",
    "resume",
    "suspend",
    "resume-failed",
    "await-nodes",
    "job",
    "fleetform-node",
)
_SHIM = "machine-program"
_FIRST_PORT, _WINDOW, _WINDOWS = 30_000, 256, 10
"""Above the ports that jobs meet at, to 29999, and below those that Linux gives to clients, from 32768 on."""


class Machines:
    """The folders of all environments of one cloud."""

    def __init__(self, place: Place, layout: Layout) -> None:
        self._place, self._layout = place, layout
        self._ports: dict[str, int] = {}
        self._lock = threading.Lock()

    def variables(self, environment: str) -> dict[str, str]:
        """Return what a machine of the environment is told, having made the environment's folder."""
        folder = self._place.machines / environment
        with self._lock:
            if not folder.is_dir():
                self._make(folder)
            told = {MACHINES_VARIABLE: str(folder)}
            if not self._layout.has_own_ports:
                if environment not in self._ports:
                    self._ports[environment] = self._window(str(folder))
                told[PORTS_VARIABLE] = str(self._ports[environment])
        return told

    def write(self, environment: str, name: str, variables: Mapping[str, str]) -> None:
        """Keep a machine's variables under its Slurm name, readable for this user alone."""
        file = self._place.machines / environment / f"{name}.env"
        temporary = file.with_name(f".{file.name}.{threading.get_ident()}")
        temporary.touch(mode=0o600)
        temporary.write_text("".join(f"{key}={shlex.quote(value)}\n" for key, value in variables.items()))
        temporary.replace(file)

    def _make(self, folder: Path) -> None:
        folder.mkdir(parents=True, mode=0o700)
        (folder / "bin").mkdir()
        shim = (self._place.programs / _SHIM).read_text().replace("@MACHINES@", shlex.quote(str(folder)))
        for name in PROGRAMS:
            program = folder / "bin" / name
            program.write_text(shim.replace("@NAME@", name))
            program.chmod(0o700)

    def _window(self, seed: str) -> int:
        """Return the first port of a window that nobody seems to use."""
        first = zlib.crc32(seed.encode())
        for number in range(_WINDOWS):
            base = _FIRST_PORT + (first + number) % _WINDOWS * _WINDOW
            if base not in self._ports.values() and all(map(_is_free, range(base, base + 3))):
                return base
        return _FIRST_PORT


def _is_free(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_server(("", port)):
        return True
    return False
