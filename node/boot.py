"""Makes this machine a part of its cluster, at its first start: `fleetform-node boot`.

Its service does it again until it succeeds, and at the next start of the machine: every step looks at what is
there. On a machine that is ready there is nothing to do.
"""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from node.aws import aws_errors, client
from node.cluster import accounting, munge_key, packages, refresh, units, volume
from node.cluster.facts import ClusterFacts, NoClusterError, read_facts
from node.cluster.identity import ROLE_HEAD, instance_metadata, own_name
from node.cluster.machine import Machine, ProgramMissingError, read_machine
from node.cluster.service import NotReadyError
from node.cluster.users import ensure_users
from node.config import NodeConfig, read_node_config
from node.layout import ROLE_NODE, utc_now
from node.metadata import rule
from node.patience import growing, persist
from node.slurm.tools import SlurmError
from node.store import Bucket

SLURM = "slurm"
BOOT_LOG = "boot.jsonl"
"""In the folder of logs: one line a phase, `{"time", "phase", "seconds"}`."""
READY = "var/fleetform/ready"
"""Is there where the machine is what its user data says, which takes it away at its beginning."""
_POLL_SECONDS, _SLOW_POLL_SECONDS = 1.0, 30.0
_FACTS_SECONDS = 900.0
_TELL_SECONDS = 60.0


@dataclass(frozen=True)
class Boot:
    """The making of one machine."""

    machine: Machine
    config: NodeConfig
    bucket: Bucket
    facts: ClusterFacts

    def head(self) -> None:
        """Make this machine the head: first what the one before has left, then its daemons in their order."""
        with self.phase("volume"):
            ec2 = self.client("ec2")
            volume.ensure_volume(ec2, self.machine, self.facts.state_volume, instance_metadata("instance-id"))
        self._packages()
        with self.phase("key"):
            self._install_key(munge_key.head_key(self.client("secretsmanager"), self.facts.munge_secret))
        with self.phase("configuration"):
            refresh.configure(self.machine, self.bucket, self.facts, refresh.own_controller())
        names = [units.MUNGED, units.SLURMCTLD, units.CLERK]
        if self.facts.accounting:
            names[1:1] = [units.MARIADB, units.SLURMDBD]
            accounting.write_slurmdbd_conf(self.machine, socket.gethostname())
        units.install_units(self.machine, names)
        with self.phase("accounting"):
            # slurmctld takes no job of an account that it does not know.
            units.start_units(names[:-2])
            refresh.set_up_teams(self.machine, self.facts)
        with self.phase("controller"):
            units.start_units(names[-2:-1])
            refresh.note_applied(self.machine)
            units.start_units(names[-1:])

    def node(self) -> None:
        """Make this machine a node, when the head has told it which."""
        self._packages()
        ensure_users(self.machine, self.facts.teams)
        with self.phase("key"):
            self._install_key(munge_key.node_key(self.client("secretsmanager"), self.facts.munge_secret))
        names = [units.MUNGED, units.METADATA, units.SLURMD, units.AGENT]
        units.install_units(self.machine, names)
        units.start_units(names[:1])
        with self.phase("name"):
            self._wait_for_name()
        with self.phase("daemons"):
            units.start_units(names[1:])

    def _packages(self) -> None:
        with self.phase("packages"):
            packages.ensure_packages(
                self.bucket, self.machine, self.config.role, accounting=self.facts.accounting
            )
        with self.phase("metadata"):
            rule.close(self.machine, ROLE_NODE if self.config.role == ROLE_NODE else ROLE_HEAD)

    def _install_key(self, key: bytes) -> None:
        munge_key.install_key(self.machine, key)

    def _wait_for_name(self) -> None:
        """Wait until the head has given this instance a name in Slurm, however long that takes."""
        ec2, instance_id = self.client("ec2"), instance_metadata("instance-id")
        told = time.monotonic()
        for pause in growing(_POLL_SECONDS, _SLOW_POLL_SECONDS):
            if persist(lambda: own_name(ec2, instance_id)):
                return
            if time.monotonic() - told > _TELL_SECONDS:
                told = time.monotonic()
                print("waiting for the head to give this machine its name in Slurm", file=sys.stderr)
            time.sleep(pause)

    def client(self, service: str) -> Any:
        """Return a client of an AWS service in the environment's region."""
        return client(service, self.config.region)

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Note how long a part of the boot took."""
        start = time.monotonic()
        yield
        line = {"time": utc_now(), "phase": name, "seconds": round(time.monotonic() - start, 3)}
        self.machine.logs.mkdir(parents=True, exist_ok=True)
        with (self.machine.logs / BOOT_LOG).open("a") as log:
            log.write(json.dumps(line) + "\n")


def _wait_for_facts(bucket: Bucket) -> ClusterFacts:
    """Return the cluster's facts; Terraform may write them a little after the first machine has started."""
    deadline = time.monotonic() + _FACTS_SECONDS
    while True:
        try:
            return read_facts(bucket)
        except NoClusterError:
            if time.monotonic() > deadline:
                raise
            time.sleep(_POLL_SECONDS)


_FAILURES: tuple[type[Exception], ...] = (
    accounting.AccountingError,
    packages.PackagesMissingError,
    volume.VolumeError,
    NoClusterError,
    NotReadyError,
    ProgramMissingError,
    rule.OpenError,
    SlurmError,
    subprocess.SubprocessError,
    OSError,
)


def main() -> int:
    """Make the machine what its user data says it is; exit code 1 with the reason where that fails."""
    config = read_node_config()
    ready = config.root / READY
    if ready.exists():
        return 0
    if config.scheduler != SLURM:
        ready.touch()
        return 0
    bucket = Bucket(client("s3", config.region), config.artifact_bucket)
    try:
        boot = Boot(read_machine(), config, bucket, persist(lambda: _wait_for_facts(bucket)))
        boot.node() if config.role == ROLE_NODE else boot.head()
    except _FAILURES + aws_errors() as error:
        print(f"this machine cannot join its cluster: {error}", file=sys.stderr)
        return 1
    ready.touch()
    return 0


if __name__ == "__main__":
    sys.exit(main())
