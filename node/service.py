"""Starts one of Slurm's daemons on this machine: `fleetform-node service NAME` becomes that daemon."""

from __future__ import annotations

import argparse
import subprocess
import sys
import time

from node.aws import aws_errors, client
from node.cluster import service
from node.cluster.compose import Controller
from node.cluster.facts import NoClusterError, read_facts
from node.cluster.identity import ROLE_HEAD, find_head, instance_metadata, own_name
from node.cluster.machine import Machine, ProgramMissingError, read_machine
from node.cluster.refresh import configure
from node.config import NodeConfig, read_node_config
from node.layout import ROLE_NODE
from node.metadata import rule
from node.patience import growing, persist
from node.store import Bucket

_POLL_SECONDS, _SLOW_POLL_SECONDS = 2.0, 30.0
_FAILURES: tuple[type[Exception], ...] = (
    service.NotReadyError,
    NoClusterError,
    ProgramMissingError,
    rule.OpenError,
    subprocess.SubprocessError,
    OSError,
)
NAMES = ("munged", "mariadb", "slurmdbd", "slurmctld", "slurmd")


def daemon(name: str, machine: Machine) -> service.Daemon:
    """Return the daemon of that name, when all that it needs is there."""
    if name == "slurmd":
        return _slurmd(machine, read_node_config())
    head = {
        "munged": service.munged,
        "mariadb": service.mariadb,
        "slurmdbd": service.slurmdbd,
        "slurmctld": service.slurmctld,
    }
    if name == "slurmctld":
        rule.close(machine, ROLE_HEAD)
    return head[name](machine)


def _slurmd(machine: Machine, config: NodeConfig) -> service.Daemon:
    """Return slurmd, for the head as it is found now: it may be another than at the last start."""
    # Before any job of a team's: after a restart of the machine there is no rule at first.
    rule.close(machine, ROLE_NODE)
    ec2 = client("ec2", config.region)
    instance_id = instance_metadata("instance-id")
    name = persist(lambda: own_name(ec2, instance_id))
    head = _wait_for_head(config)
    if not name:
        raise service.NotReadyError(f"{instance_id} has no name in Slurm yet")
    if not machine.emulated:
        return service.slurmd(machine, service.NodeStart(name, head.address))
    bucket = Bucket(client("s3", config.region), config.artifact_bucket)
    configure(machine, bucket, read_facts(bucket), head)
    return service.slurmd(machine, service.NodeStart(name, ""))


def _wait_for_head(config: NodeConfig) -> Controller:
    ec2 = client("ec2", config.region)
    pauses = growing(_POLL_SECONDS, _SLOW_POLL_SECONDS)
    while (head := persist(lambda: find_head(ec2, config.environment))) is None:
        time.sleep(next(pauses))
    return head


def main() -> int:
    """Become the daemon; exit code 1 with a line where it cannot be started now."""
    parser = argparse.ArgumentParser(prog="fleetform-node service", description=__doc__)
    parser.add_argument("name", choices=NAMES)
    machine = read_machine()
    name = parser.parse_args().name
    try:
        service.execute(daemon(name, machine))
    except _FAILURES + aws_errors() as error:
        print(f"{name} cannot be started: {error}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
