"""Where the parts of Slurm lie on this machine, real or emulated."""

from __future__ import annotations

import getpass
import os
import platform
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_CONTROLLER_PORT, _NODE_PORT, _DATABASE_PORT = 6817, 6818, 6819
_NODE_PORTS_FROM = 10
"""Where machines share the ports of one: the first node's, above the first port of the cluster's."""
_SYSTEM_PROGRAMS = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
"""Where daemons lie; a service's PATH may not name them all."""


class ProgramMissingError(Exception):
    """A program of Slurm's is not on this machine; the message names it."""


@dataclass(frozen=True)
class Machine:
    """One machine of a cluster, real or emulated."""

    root: Path
    """`/`, or the folder that stands for it on an emulated machine."""
    run: Path
    """Sockets and process ids; short, for the path of a socket has 107 bytes at most."""
    port_base: int = 0
    """The first of the ports of a cluster whose machines share those of one; 0 where each has its own."""
    prefix: Path | None = None
    """Where packages are unpacked that are not installed; None for the system's own."""
    programs: Path | None = None
    """The folder above the programs that Slurm starts, where it is not the node bundle."""

    @property
    def emulated(self) -> bool:
        """Whether other machines share this one's kernel and user."""
        return self.root != Path("/")

    @property
    def bundle(self) -> Path:
        """The node bundle."""
        return self.root / "opt" / "fleetform"

    @property
    def settings(self) -> Path:
        """The folder of what this machine is, `node.json` and the munge key among it."""
        return self.root / "etc" / "fleetform"

    @property
    def slurm_settings(self) -> Path:
        """The folder of `slurm.conf`."""
        return self.root / "etc" / "slurm"

    @property
    def state(self) -> Path:
        """On a head: what outlives it, the state volume's place."""
        return self.root / "var" / "spool" / "fleetform"

    @property
    def spool(self) -> Path:
        """On a node: slurmd's own folder, which has sockets in it, so that an emulated machine's is short."""
        return self.run / "slurmd" if self.emulated else Path("/var/spool/slurmd")

    @property
    def logs(self) -> Path:
        """The daemons' logs."""
        return self.root / "var" / "log" / "fleetform"

    @property
    def munge_socket(self) -> Path:
        """Where munged listens; on a real machine where every program looks unless it is told otherwise."""
        return self.run / "munge.socket" if self.emulated else Path("/run/munge/munge.socket.2")

    @property
    def munge_key(self) -> Path:
        """The key that all machines of the cluster have in common."""
        return self.settings / "munge.key"

    def user(self, real: str) -> str:
        """Return the user that a daemon runs as: `real`, or on an emulated machine whoever runs it."""
        return getpass.getuser() if self.emulated else real

    @property
    def controller_port(self) -> int:
        """TCP port of slurmctld."""
        return self.port_base or _CONTROLLER_PORT

    @property
    def database_port(self) -> int:
        """TCP port of slurmdbd."""
        return self.port_base + 1 if self.port_base else _DATABASE_PORT

    def node_port(self, index: int) -> int:
        """Return the TCP port of slurmd on the node that is the index-th, from 0, of all in `slurm.conf`."""
        return self.port_base + _NODE_PORTS_FROM + index if self.port_base else _NODE_PORT

    def program(self, name: str) -> str:
        """Return the path by which Slurm starts a program of the bundle (`prolog`) on any machine."""
        return str((self.programs or self.bundle) / "bin" / name)

    def executable(self, name: str) -> str:
        """Return the path of one of Slurm's own programs or daemons. Raises ProgramMissingError."""
        search = [*self._prefixed("sbin", "bin"), os.environ.get("PATH", ""), *_SYSTEM_PROGRAMS]
        found = shutil.which(name, path=os.pathsep.join(search))
        if found is None:
            raise ProgramMissingError(f"{name} is not on this machine")
        return found

    def has(self, name: str) -> bool:
        """Return whether one of Slurm's own programs or daemons is on this machine."""
        try:
            return bool(self.executable(name))
        except ProgramMissingError:
            return False

    @property
    def plugins(self) -> Path | None:
        """Folder of Slurm's plugins in unpacked packages; None where they are installed."""
        return Path(self._libraries()[0]) if self.prefix else None

    def variables(self) -> dict[str, str]:
        """Return the environment of Slurm's programs: the process's own, and what they need beside it."""
        own = dict(os.environ)
        if self.emulated:
            own["SLURM_CONF"] = str(self.slurm_settings / "slurm.conf")
        if self.prefix:
            own["LD_LIBRARY_PATH"] = _before(self._libraries(), own.get("LD_LIBRARY_PATH", ""))
            own["PATH"] = _before(self._prefixed("sbin", "bin"), own.get("PATH", os.defpath))
        return own

    def _prefixed(self, *folders: str) -> list[str]:
        return [str(self.prefix / "usr" / each) for each in folders] if self.prefix else []

    def _libraries(self) -> list[str]:
        assert self.prefix is not None
        folder = self.prefix / "usr" / "lib" / f"{platform.machine()}-linux-gnu"
        return [str(folder / "slurm-wlm"), str(folder)]


def _before(folders: list[str], known: str) -> str:
    """Return a search path with the folders first, and each of it once."""
    rest = [each for each in known.split(os.pathsep) if each and each not in folders]
    return os.pathsep.join([*folders, *rest])


def read_machine(environment: Mapping[str, str] | None = None) -> Machine:
    """Return the machine that this process runs on, as its environment (or that one) tells."""
    told = os.environ if environment is None else environment
    root = Path(told.get("FLEETFORM_ROOT") or "/")
    run, prefix = told.get("FLEETFORM_RUN"), told.get("FLEETFORM_SLURM_PREFIX")
    programs = told.get("FLEETFORM_MACHINES")
    return Machine(
        root=root,
        run=Path(run) if run else root / "run" / "fleetform",
        port_base=int(told.get("FLEETFORM_PORT_BASE") or 0),
        prefix=Path(prefix) if prefix else None,
        programs=Path(programs) if programs else None,
    )


def program(name: str) -> str:
    """Return the path by which Slurm is to start a program of the bundle (`job`, `fleetform-node`)."""
    return read_machine().program(name)
