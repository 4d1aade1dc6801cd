"""The services of a machine of a cluster, handed to systemd."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence

from node.cluster.machine import Machine

MUNGED, MARIADB, SLURMDBD = "fleetform-munged", "fleetform-mariadb", "fleetform-slurmdbd"
SLURMCTLD, CLERK = "fleetform-slurmctld", "fleetform-clerk"
METADATA, SLURMD, AGENT = "fleetform-metadata", "fleetform-slurmd", "fleetform-agent"
"""Files `NAME.service` in `units/` of the node bundle."""
_SECONDS = 120.0


def install_units(machine: Machine, names: Sequence[str]) -> None:
    """Make the services known to systemd, each as the node bundle has it."""
    folder = machine.root / "etc" / "systemd" / "system"
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        shutil.copyfile(machine.bundle / "units" / f"{name}.service", folder / f"{name}.service")
    systemctl("daemon-reload")


def start_units(names: Sequence[str]) -> None:
    """Start the services in this order, now and at every later start of the machine."""
    for name in names:
        systemctl("enable", "--now", f"{name}.service")


def restart(name: str) -> None:
    """Start a service anew."""
    systemctl("restart", f"{name}.service")


def systemctl(*arguments: str) -> None:
    """Run systemctl. Raises CalledProcessError."""
    subprocess.run(["systemctl", *arguments], check=True, stdin=subprocess.DEVNULL, timeout=_SECONDS)
