"""What the clerk's parts share: this machine, the bucket, the book, what is known of the cluster."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterable, Mapping
from typing import Any

from node.aws import aws_errors, client
from node.cluster.facts import ClusterFacts, NoClusterError, TeamFacts, read_facts
from node.cluster.machine import Machine, read_machine
from node.config import NodeConfig
from node.instances import Instance, named_nodes
from node.layout import run_key
from node.patience import persist
from node.slurm.book import Book
from node.slurm.teller import Teller
from node.slurm.tools import NodeState, SlurmError
from node.store import Bucket

_FACTS_SECONDS = 30.0
_MACHINES_SECONDS, _STALE_SECONDS = 3.0, 300.0
"""How old what is known of the machines may be, where a name is missing and where none is."""

_WITHOUT_A_MACHINE = frozenset({"POWERED_DOWN", "POWERING_DOWN"})


class Office:
    """The clerk's surroundings."""

    def __init__(self, config: NodeConfig) -> None:
        self.config = config
        self.machine: Machine = read_machine()
        self.bucket = Bucket(client("s3", config.region), config.artifact_bucket)
        self.book = Book(self.machine.state / "clerk")
        self.teller = Teller(self.bucket, self.book)
        self._facts: ClusterFacts | None = None
        self._facts_at = self._machines_at = float("-inf")
        self._machines: Mapping[str, Instance] = {}
        self._gone: set[str] = set()
        self._lock = threading.Lock()

    def facts(self, *, fresh: bool = False) -> ClusterFacts:
        """Return what is known of the cluster, half a minute old at most. Raises NoClusterError."""
        now = time.monotonic()
        if fresh or self._facts is None or now - self._facts_at > _FACTS_SECONDS:
            self._facts, self._facts_at = persist(lambda: read_facts(self.bucket)), now
        return self._facts

    def teams(self) -> Mapping[str, TeamFacts]:
        """Return the teams as they were read last, so that no look waits for S3. Raises NoClusterError."""
        return (self._facts or self.facts()).teams

    def machines(self, wanted: set[str]) -> Mapping[str, Instance]:
        """Return the machines by Slurm's names; asked anew, at times, where one of `wanted` is not known."""
        with self._lock:
            now = time.monotonic()
            age = now - self._machines_at
            stale = age > _STALE_SECONDS or (age > _MACHINES_SECONDS and not wanted <= set(self._machines))
            if stale:
                ec2, name = client("ec2", self.config.region), self.config.environment
                self._machines = persist(lambda: named_nodes(ec2, name), patience=5, pause=1)
                self._machines_at = now
            return self._machines

    def forget_machines(self) -> None:
        """Have the machines asked for anew: one has gone, and another may have its name."""
        self._machines_at = float("-inf")

    def see_nodes(self, nodes: Iterable[NodeState]) -> None:
        """Forget the machines of nodes that have gone or come back since: by now it may be another."""
        gone = {node.name for node in nodes if node.state == "DOWN" or node.flags & _WITHOUT_A_MACHINE}
        with self._lock:
            changed = gone ^ self._gone
            self._machines = {name: each for name, each in self._machines.items() if name not in changed}
            self._gone = gone

    def read(self, run_id: str, name: str) -> dict[str, Any] | None:
        """Return a JSON file of a run's directory; None where there is none, or it is none."""
        body = persist(lambda: self.bucket.get(run_key(run_id, name)))
        try:
            found = json.loads(body) if body else None
        except ValueError:
            return None
        return found if isinstance(found, dict) else None

    def write(self, run_id: str, name: str, value: Mapping[str, Any]) -> None:
        """Write a JSON file of a run's directory."""
        body = json.dumps(value).encode()
        persist(lambda: self.bucket.put(run_key(run_id, name), body))


def troubles() -> tuple[type[Exception], ...]:
    """Return what the next look may go better without: Slurm or the cloud refuses, or is away."""
    return (SlurmError, NoClusterError, *aws_errors())
