"""The emulated nodes of one embedded cloud: made, stopped and ended as its instances are."""

from __future__ import annotations

import itertools
import os
import secrets
import shutil
import socket
import tempfile
import threading
import uuid
from pathlib import Path

from sandbox.engine import PLAIN, choose_engine
from sandbox.file_systems import FOLDER_VARIABLE, install_programs
from sandbox.guardian import start_guardian
from sandbox.hardware import Cores, Gpus
from sandbox.machines import HEAD, Machines
from sandbox.node import Machine, Node
from sandbox.place import Place, write_atomically
from sandbox.processes import SANDBOX_VARIABLE, SERVER_VARIABLE, end_marked
from sandbox.variables import endpoint, node_variables

RUN_VARIABLE = "FLEETFORM_RUN"
"""Set on a machine of a cluster: the folder of its sockets and process ids."""
METADATA_PATH = "/_sandbox/metadata/"
"""Below it, at the cloud's own port, each node has its metadata service under a name that nobody guesses."""


class Nodes:
    """Every node by the id of its instance."""

    def __init__(
        self,
        place: Place,
        *,
        cores_per_node: int,
        scheduler: str = PLAIN,
        slurm_prefix: Path | None = None,
    ) -> None:
        """Raises LayoutError where machines cannot be laid out as the user wants it."""
        self.place = place
        self.endpoint = ""
        """URL of the cloud for processes of this computer; known once the server has its port."""
        self.node_endpoint = ""
        """URL of the cloud for the nodes."""
        self._cores = Cores(cores_per_node)
        self._gpus = Gpus()
        self._server = uuid.uuid4().hex
        self._marks = {SANDBOX_VARIABLE: str(place.folder), SERVER_VARIABLE: self._server}
        self.engine = choose_engine(scheduler, place, self._marks, slurm_prefix)
        self._machines = Machines(place, self.engine.layout)
        self._run = _make_run_folder(place) if self.engine.is_slurm else None
        self._numbers = itertools.count(1)
        self._guardian = start_guardian(SERVER_VARIABLE, self._server, self._run)
        self._nodes: dict[str, Node] = {}
        self._secrets: dict[str, str] = {}
        self._lock = threading.Lock()

    def clean_up(self) -> None:
        """Remove what the nodes of a crashed server left behind."""
        end_marked(SANDBOX_VARIABLE, str(self.place.folder), grace_s=0)
        shutil.rmtree(self.place.nodes, ignore_errors=True)
        for folder in (self.place.file_systems, self.place.volumes, self.place.machines):
            shutil.rmtree(folder, ignore_errors=True)
        install_programs(self.place)

    def open(self, port: int) -> socket.socket | None:
        """Make the nodes' network; `port` is the cloud's on this computer.

        Returns a socket that nodes reach the cloud by, None where they do as everybody does. Raises
        LayoutError.
        """
        layout = self.engine.layout
        self.place.hosts.parent.mkdir(parents=True, exist_ok=True)
        door = layout.open(port)
        self.endpoint, self.node_endpoint = endpoint(port), endpoint(port, layout.gateway)
        return door

    def launch(self, machine: Machine) -> Node:
        """Make the node of a new instance and start it; its boot goes on in the background."""
        with self._lock:
            secret = secrets.token_urlsafe(24)
            metadata = f"{self.node_endpoint}{METADATA_PATH}{secret}"
            node = Node(
                machine,
                root=self.place.nodes / machine.id,
                programs=self.place.programs,
                seat=self.engine.layout.seat(machine.id),
                # The head has no job of its own, and must not slow the node that it would share a core with.
                cores=self._cores.all if machine.is_head else self._cores.take(),
                gpus=self._gpus.take(machine.gpus, machine.sharers),
                variables={
                    **node_variables(self.place, self.node_endpoint, metadata),
                    **self._marks,
                    FOLDER_VARIABLE: str(self.place.file_systems),
                    **self.engine.variables,
                    **self._of_slurm(machine),
                },
                search=self.engine.search,
            )
            self._nodes[machine.id] = node
            self._secrets[secret] = machine.id
        if name := HEAD if machine.is_head else machine.name:
            self.name(machine.id, name)
        node.first_boot()
        return node

    def name(self, instance_id: str, name: str) -> None:
        """Give a node its name in Slurm, under which Slurm's programs look it up."""
        node = self._nodes.get(instance_id)
        if node is None or not node.machine.environment:
            return
        node.name = name
        if self.engine.is_slurm:
            self._machines.write(node.machine.environment, name, node.environment)

    def find(self, machine: str, environment: str = "") -> str:
        """Return the id of a node by itself, or by its name in an environment; "" where there is none."""
        named = (
            each.machine.id
            for each in self.all()
            if (each.machine.environment, each.name) == (environment, machine)
        )
        return machine if machine in self._nodes else next(named, "")

    def _of_slurm(self, machine: Machine) -> dict[str, str]:
        """Return what a machine of a cluster is told beside what all are."""
        if self._run is None:
            return {}
        folder = self._run / str(next(self._numbers))
        folder.mkdir(mode=0o700)
        told = self._machines.variables(machine.environment) if machine.environment else {}
        return {RUN_VARIABLE: str(folder), **told}

    def get(self, instance_id: str) -> Node | None:
        """Return the instance's node, or None where it never ran or is terminated."""
        return self._nodes.get(instance_id)

    def by_secret(self, secret: str) -> Node | None:
        """Return the node whose metadata service has that name."""
        return self._nodes.get(self._secrets.get(secret, ""))

    def all(self) -> list[Node]:
        """Return the nodes that are not terminated, oldest first."""
        return list(self._nodes.values())

    def stop(self, instance_id: str) -> None:
        """Stop a node, which keeps its files; returns when its last process has ended."""
        if node := self._nodes.get(instance_id):
            node.shut_down()

    def start(self, instance_id: str) -> None:
        """Start a stopped node again; as in the cloud, user data runs at the first boot alone."""
        if node := self._nodes.get(instance_id):
            node.start_again()

    def kill(self, instance_id: str) -> None:
        """Take a node's power away; returns when nothing of it runs any more."""
        if node := self._nodes.get(instance_id):
            node.lose_power()

    def terminate(self, instance_id: str) -> None:
        """End a node and remove its files, in the background."""
        with self._lock:
            node = self._nodes.pop(instance_id, None)
        if node is not None:
            node.running = False
            threading.Thread(target=self._end, args=[node], daemon=True).start()

    def _end(self, node: Node) -> None:
        node.terminate()
        if folder := node.environment.get(RUN_VARIABLE):
            shutil.rmtree(folder, ignore_errors=True)
        if not node.machine.is_head:
            self._cores.give_back(node.cores)
        self._gpus.give_back(node.gpus)

    def close(self) -> None:
        """End all nodes; the server is about to end."""
        for node in self.all():
            node.running = False
        self.engine.layout.close()
        end_marked(SANDBOX_VARIABLE, str(self.place.folder), grace_s=1)
        shutil.rmtree(self.place.nodes, ignore_errors=True)
        if self._run is not None:
            shutil.rmtree(self._run, ignore_errors=True)


def _make_run_folder(place: Place) -> Path:
    """Make the folder of all nodes' sockets, whose paths have 107 bytes at most; remove the last one."""
    if place.run_folder.is_file():
        shutil.rmtree(place.run_folder.read_text().strip(), ignore_errors=True)
    short = "/tmp"  # noqa: S108 - the folder in it is made for this user alone
    folder = tempfile.mkdtemp(prefix="fleetform-", dir=short if os.access(short, os.W_OK) else None)
    write_atomically(place.run_folder, f"{folder}\n")
    return Path(folder)
