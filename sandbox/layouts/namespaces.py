"""Machines with namespaces of their own: network, host name, mounts and processes.

One process, `sandbox.layouts.fleet`, is the first of an outer set of namespaces that holds the bridge and
every machine. It ends when the other end of its socket is closed, that is with the server in whatever way
that ends, and the kernel ends with it every machine, daemon, interface and mount. An ordinary user gets the
right to make them from a user namespace around it all; root needs none.
"""

from __future__ import annotations

import ipaddress
import itertools
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sandbox.layouts.base import LayoutError, Word
from sandbox.layouts.fleet import OWN
from sandbox.place import Place

NETWORK = ipaddress.ip_network("10.77.0.0/16")
"""The machines' addresses; other clouds on this computer have the same ones, in namespaces of theirs."""
GATEWAY = "10.77.0.1"
_FIRST = 11
_ANSWER_SECONDS = 60.0
_TOOLS = ("unshare", "nsenter", "ip", "mount", "hostname")
_ROOTLESS = ("--user", "--map-current-user", "--keep-caps")
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""The computer's own programs, with those of administrators."""


def unshare_command() -> list[str]:
    """Return what starts a command in new namespaces, with rights over them."""
    return ["unshare", *(() if os.geteuid() == 0 else _ROOTLESS), *OWN]


def obstacle() -> str:
    """Return why machines cannot have namespaces here, or "" where they can."""
    environment = {"PATH": SYSTEM_PATH}
    missing = [tool for tool in _TOOLS if not any(Path(at, tool).exists() for at in SYSTEM_PATH.split(":"))]
    if missing:
        return f"{', '.join(missing)} is not installed (packages util-linux, iproute2, hostname)"
    probe = [*unshare_command(), "ip", "link", "add", "probe", "type", "bridge"]
    try:
        done = subprocess.run(probe, env=environment, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return "" if done.returncode == 0 else f"namespaces are refused: {done.stderr.strip()}"


class NamespaceSeat:
    """One machine in its namespaces."""

    is_ready = False

    def __init__(self, fleet: Namespaces, instance_id: str, address: str) -> None:
        self._fleet, self._id = fleet, instance_id
        self.address = address
        self.hostname = f"ip-{address.replace('.', '-')}"
        """The first label of what EC2 calls the machine's private DNS name."""
        self.variables = {"GLOO_SOCKET_IFNAME": "eth0", "NCCL_SOCKET_IFNAME": "eth0"}
        self._namespaces = ""

    def power_on(self) -> None:
        """Make the namespaces, with their first process."""
        made = self._fleet.ask("start", name=self._id, address=self.address, hostname=self.hostname)
        self._namespaces = self._fleet.namespaces_of(int(made["pid"]))

    def command(self, command: Sequence[Word], folder: Path) -> list[Word]:
        """Enter the namespaces first."""
        at = self._namespaces
        assert at, "a machine is switched on before anything runs there"
        files = [f"--{kind}={at}/{kind if kind != 'mount' else 'mnt'}" for kind in ("net", "uts", "mount")]
        files.append(f"--pid={at}/pid_for_children")
        return ["nsenter", *self._fleet.user_namespace(), *files, f"--wdns={folder}", "--", *command]

    def shut_down(self, grace_s: float) -> None:
        """Ask every process to end, then take the namespaces away."""
        if self._namespaces and grace_s > 0:
            tenths = str(round(grace_s * 10))
            stop = self.command([self._fleet.program("machine-stop"), tenths], Path("/"))
            subprocess.run(stop, env={"PATH": SYSTEM_PATH}, capture_output=True, timeout=grace_s + 20)
        self.lose_power()

    def lose_power(self) -> None:
        """Kill the first process: the kernel kills the others, and takes the interface away."""
        if self._namespaces:
            self._fleet.ask("kill", name=self._id)
            self._namespaces = ""


class Namespaces:
    """The layout of Slurm's engine."""

    name = "namespaces"
    has_own_ports = True
    gateway = GATEWAY

    def __init__(self, place: Place, marks: Mapping[str, str]) -> None:
        self._place = place
        self._marks = dict(marks)
        """Variables by which a guardian finds the outermost process."""
        self._addresses = itertools.count(_FIRST)
        self._lock = threading.Lock()
        self._outer: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._numbers = itertools.count(1)
        """Of requests: an answer that comes late is told from that of the next one."""
        self._replies = bytearray()

    def open(self, port: int) -> socket.socket | None:
        """Start the fleet's first process and return the socket that listens on the bridge."""
        ours, theirs = socket.socketpair()
        environment = {**os.environ, **self._marks, "PATH": SYSTEM_PATH}
        command = [*unshare_command(), sys.executable, "-m", "sandbox.layouts.fleet", str(theirs.fileno())]
        command += [str(self.program("machine-init")), str(self._place.hosts), GATEWAY, str(port)]
        self._outer = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            env=environment,
            pass_fds=[theirs.fileno()],
            start_new_session=True,
        )
        theirs.close()
        ours.settimeout(_ANSWER_SECONDS)
        said, handles, _, _ = socket.recv_fds(ours, 4096, 1)
        if not handles:
            ours.close()
            raise LayoutError(f"the machines' network could not be made: {said.decode() or 'see server.log'}")
        self._control = ours
        return socket.socket(fileno=handles[0])

    def seat(self, instance_id: str) -> NamespaceSeat:
        """Return a place with the next address."""
        number = _FIRST + (next(self._addresses) - _FIRST) % (NETWORK.num_addresses - _FIRST - 1)
        return NamespaceSeat(self, instance_id, str(NETWORK[number]))

    def ask(self, act: str, **about: str) -> dict[str, Any]:
        """Have the fleet's first process do something. Raises LayoutError with its reason."""
        with self._lock:
            if self._control is None:
                raise LayoutError("the machines' network is gone")
            number = next(self._numbers)
            try:
                self._control.sendall(json.dumps({"act": act, **about, "number": number}).encode() + b"\n")
                while (answer := self._reply(self._control)).get("number", number) != number:
                    pass
            except OSError as error:
                raise LayoutError(f"the machines' network does not answer: {error}") from error
        if answer.get("error"):
            raise LayoutError(str(answer["error"]))
        return answer

    def _reply(self, control: socket.socket) -> dict[str, Any]:
        """Return the next answer; raises OSError where none comes in time."""
        while b"\n" not in self._replies:
            if not (more := control.recv(65536)):
                return {"error": "the machines' network is gone"}
            self._replies += more
        line, _, rest = self._replies.partition(b"\n")
        self._replies = rest
        answer: dict[str, Any] = json.loads(line)
        return answer

    def namespaces_of(self, pid: int) -> str:
        """Return the folder of a process's namespaces, by its number inside of the fleet's."""
        assert self._outer is not None
        return f"/proc/{self._outer.pid}/root/proc/{pid}/ns"

    def user_namespace(self) -> list[str]:
        """Return nsenter's arguments for the user namespace; none where root needs none."""
        assert self._outer is not None
        at = f"/proc/{self._outer.pid}/ns/user"
        return [] if os.geteuid() == 0 else [f"--user={at}", "--preserve-credentials"]

    def program(self, name: str) -> Path:
        """Return one of the programs that a machine's namespaces are made with."""
        return self._place.programs / name

    def close(self) -> None:
        """Let the fleet's first process end, and everything with it."""
        if self._control is not None:
            self._control.close()
            self._control = None
        if self._outer is not None:
            try:
                self._outer.wait(5)
            except subprocess.TimeoutExpired:
                self._outer.kill()
                self._outer.wait()
