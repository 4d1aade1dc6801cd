"""Slurm's configuration of `tests/real_cluster.py`, and what becomes of it when a node is added."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from unittest import mock

from node.cluster import compose, refresh, units
from node.cluster.machine import Machine
from templates.engine import render
from templates.slurm_files import CgroupConf, GresConf, SlurmConf
from tests.slurm_cluster import fleet, wait_until

_KNOWN = Path("/var/spool/slurmd/gpu-1/conf-cache/slurm.conf")
"""What the head has told the first node."""


def configure(machine: Machine, address: str, max_nodes: int) -> None:
    """Write the configuration of a head at that address, for so many nodes."""
    fleets = (fleet(nodes=1, max_nodes=max_nodes, gpus=0, cpus=2),)
    conf = SlurmConf(
        cluster="real",
        fleets=fleets,
        idle_seconds=600,
        resume_seconds=60,
        longest_minutes=600,
        accounting=True,
    )
    rendered = {
        # The node has more cores than this computer, which only emulated ones may.
        "slurm.conf": render(conf) + "SlurmdParameters=config_overrides\n",
        "gres.conf": render(GresConf(fleets=fleets)),
        "cgroup.conf": render(CgroupConf()),
    }
    controller = compose.Controller(socket.gethostname().partition(".")[0], address)
    # Control groups are this computer's, not ours to try: as under a Slurm that does not use them.
    compose.write_configuration(machine, rendered, controller, accounting=True, version=(21, 8))
    with (machine.slurm_settings / "cgroup.conf").open("a") as conf_file:
        conf_file.write("CgroupPlugin=cgroup/v1\n")


def add_a_node(machine: Machine, address: str, start_controller: Callable[[], None]) -> dict[str, object]:
    """Take over that the environment has a node more; return what the standing one was told."""

    def restart(name: str) -> None:
        (pid,) = _processes(name.removeprefix("fleetform-"))
        os.kill(pid, signal.SIGTERM)
        os.waitpid(pid, 0)
        start_controller()

    before = _KNOWN.read_text()
    with (
        mock.patch.object(refresh, "configure", lambda *told: configure(machine, address, 3)),
        mock.patch.object(refresh, "read_node_config"),
        mock.patch.object(refresh, "read_facts"),
        mock.patch.object(refresh, "own_controller"),
        mock.patch.object(refresh, "set_up_teams"),
        mock.patch.object(units, "restart", restart),
    ):
        changed = refresh.refresh(mock.Mock()).changed
    wait_until(lambda: "gpu-[1-3]" in _KNOWN.read_text(), "the node to be told")
    return {"changed": changed, "before": "gpu-[1-3]" in before}


def _processes(name: str) -> list[int]:
    found = [entry for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return [int(entry.name) for entry in found if (entry / "comm").read_text().strip() == name]
