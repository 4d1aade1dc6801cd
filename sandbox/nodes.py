"""The emulated nodes of one embedded cloud: made, stopped and ended as its instances are."""

from __future__ import annotations

import ipaddress
import itertools
import secrets
import shutil
import threading
import uuid
import zlib

from sandbox.file_systems import FOLDER_VARIABLE, install_programs
from sandbox.guardian import start_guardian
from sandbox.hardware import Cores, Gpus
from sandbox.node import Machine, Node
from sandbox.place import Place
from sandbox.processes import SANDBOX_VARIABLE, SERVER_VARIABLE, end_marked
from sandbox.variables import node_variables

_NETWORK = ipaddress.ip_network("127.77.0.0/16")
"""Loopback addresses of the nodes: they reach each other by the address that the API gives."""

METADATA_PATH = "/_sandbox/metadata/"
"""Below it, at the cloud's own port, each node has its metadata service under a name that nobody guesses."""


class Nodes:
    """Every node by the id of its instance."""

    def __init__(self, place: Place, *, cores_per_node: int) -> None:
        self.place = place
        self.endpoint = ""
        """URL of the cloud that the nodes talk to; known once the server has its port."""
        self._cores = Cores(cores_per_node)
        self._gpus = Gpus()
        self._server = uuid.uuid4().hex
        self._guardian = start_guardian(SERVER_VARIABLE, self._server)
        self._nodes: dict[str, Node] = {}
        self._secrets: dict[str, str] = {}
        self._lock = threading.Lock()
        # Clouds of different folders run on one machine, so each begins at another address.
        self._addresses = itertools.count(zlib.crc32(str(place.folder).encode()) % 60_000)

    def clean_up(self) -> None:
        """Remove what the nodes of a crashed server left behind."""
        end_marked(SANDBOX_VARIABLE, str(self.place.folder), grace_s=0)
        shutil.rmtree(self.place.nodes, ignore_errors=True)
        shutil.rmtree(self.place.file_systems, ignore_errors=True)
        install_programs(self.place)

    def launch(self, machine: Machine) -> Node:
        """Make the node of a new instance and start it; its boot goes on in the background."""
        with self._lock:
            secret = secrets.token_urlsafe(24)
            offset = 1 + next(self._addresses) % (_NETWORK.num_addresses - 2)
            node = Node(
                machine,
                root=self.place.nodes / machine.id,
                programs=self.place.programs,
                address=str(_NETWORK[offset]),
                # The head has no job of its own, and must not slow the node that it would share a core with.
                cores=self._cores.all if machine.is_head else self._cores.take(),
                gpus=self._gpus.take(machine.gpus, machine.sharers),
                variables={
                    **node_variables(self.place, self.endpoint, f"{self.endpoint}{METADATA_PATH}{secret}"),
                    SANDBOX_VARIABLE: str(self.place.folder),
                    SERVER_VARIABLE: self._server,
                    FOLDER_VARIABLE: str(self.place.file_systems),
                },
            )
            self._nodes[machine.id] = node
            self._secrets[secret] = machine.id
        node.first_boot()
        return node

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
            node.running = True

    def terminate(self, instance_id: str) -> None:
        """End a node and remove its files, in the background."""
        with self._lock:
            node = self._nodes.pop(instance_id, None)
        if node is not None:
            node.running = False
            threading.Thread(target=self._end, args=[node], daemon=True).start()

    def _end(self, node: Node) -> None:
        node.terminate()
        if not node.machine.is_head:
            self._cores.give_back(node.cores)
        self._gpus.give_back(node.gpus)

    def close(self) -> None:
        """End all nodes; the server is about to end."""
        for node in self.all():
            node.running = False
        end_marked(SANDBOX_VARIABLE, str(self.place.folder), grace_s=1)
        shutil.rmtree(self.place.nodes, ignore_errors=True)
