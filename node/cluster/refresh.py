"""Brings a machine's configuration of Slurm up to what the environment decides now."""

from __future__ import annotations

import json
import re
import socket
from dataclasses import asdict, dataclass
from pathlib import Path

from node.aws import client
from node.cluster import accounting, compose, units
from node.cluster.facts import CONFIGURATION, ClusterFacts, NoClusterError, cluster_key, read_facts
from node.cluster.identity import instance_metadata
from node.cluster.machine import Machine, read_machine
from node.cluster.service import wait_for
from node.cluster.users import ensure_users
from node.config import read_node_config
from node.slurm import tools
from node.store import Bucket

_NODES = re.compile(r"^(?:NodeName|PartitionName)=.*$", re.MULTILINE)


@dataclass(frozen=True)
class Refreshed:
    """What a refresh found."""

    facts: ClusterFacts
    changed: bool
    """Whether Slurm's configuration became another one."""


def rendered_files(bucket: Bucket) -> dict[str, str]:
    """Return the environment's text of each file of Slurm's configuration. Raises NoClusterError."""
    found = {name: bucket.get(cluster_key(name)) for name in CONFIGURATION}
    if missing := [name for name, body in found.items() if body is None]:
        raise NoClusterError(f"s3://{bucket.name}/{cluster_key('')}: {', '.join(missing)} missing")
    return {name: body.decode() for name, body in found.items() if body is not None}


def configure(machine: Machine, bucket: Bucket, facts: ClusterFacts, controller: compose.Controller) -> None:
    """Write Slurm's configuration of this machine."""
    compose.write_configuration(machine, rendered_files(bucket), controller, accounting=facts.accounting)


def own_controller() -> compose.Controller:
    """Return the controller that this machine, the head, is itself."""
    return compose.Controller(socket.gethostname().partition(".")[0], instance_metadata("local-ipv4"))


def refresh(bucket: Bucket | None = None) -> Refreshed:
    """On the head: take over what `cluster/` of the artifact bucket says by now; for the clerk, each minute.

    slurmctld reads a change of the policy anew, and is started again where nodes came or went: jobs go on in
    both cases. What failed half-way is done again the next time. Raises NoClusterError, SlurmError,
    AccountingError, NotReadyError, CalledProcessError, OSError and what AWS raises.
    """
    machine, config = read_machine(), read_node_config()
    bucket = bucket or Bucket(client("s3", config.region), config.artifact_bucket)
    facts = read_facts(bucket)
    configure(machine, bucket, facts, own_controller())
    set_up_teams(machine, facts)
    before, now = _applied(machine), _configuration(machine)
    if before == now:
        return Refreshed(facts, changed=False)
    if _NODES.findall(before) != _NODES.findall(now):
        units.restart(units.SLURMCTLD)
        wait_for(_answers, "slurmctld")
    # It is at this word that the nodes get the configuration, too: those that stand have the old one yet.
    tools.run("scontrol", ["reconfigure"])
    note_applied(machine)
    return Refreshed(facts, changed=True)


def _answers() -> bool:
    try:
        return "is UP" in tools.run("scontrol", ["ping"])
    except tools.SlurmError:
        return False


def set_up_teams(machine: Machine, facts: ClusterFacts) -> None:
    """On the head: make the teams' users and accounts, unless they are as they were at the last time."""
    note, text = machine.state / "teams.json", _teams(facts)
    ensure_users(machine, facts.teams)
    if note.is_file() and note.read_text() == text:
        return
    if facts.accounting:
        accounting.set_up(machine, facts.environment, facts.teams, default_team=facts.default_team)
    note.write_text(text)


def _teams(facts: ClusterFacts) -> str:
    teams = {name: asdict(team) for name, team in facts.teams.items()}
    return json.dumps({"default_team": facts.default_team, "teams": teams}, sort_keys=True)


def note_applied(machine: Machine) -> None:
    """Note that slurmctld runs with the configuration as it is written now."""
    _note(machine).write_text(_configuration(machine))


def _applied(machine: Machine) -> str:
    return _note(machine).read_text() if _note(machine).is_file() else ""


def _note(machine: Machine) -> Path:
    return machine.slurm_settings / "applied"


def _configuration(machine: Machine) -> str:
    return "".join((machine.slurm_settings / name).read_text() for name in CONFIGURATION)
