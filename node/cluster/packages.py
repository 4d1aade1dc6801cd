"""Slurm's programs on a machine: looked for, and installed where the image lacks them.

From the packages that lie in the artifact bucket, which a machine of a closed network reaches too; else from
the package sources that the image knows.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from node.cluster.facts import PACKAGES
from node.cluster.machine import Machine
from node.layout import ROLE_NODE
from node.store import Bucket
from node.system_packages import fetch_packages, run_manager

_NODE_PACKAGES = {"slurmd": "slurmd", "srun": "slurm-client", "munged": "munge"}
_HEAD_PACKAGES = {"slurmctld": "slurmctld", "sbatch": "slurm-client", "munged": "munge"}
_ACCOUNTING_PACKAGES = {"slurmdbd": "slurmdbd", "mariadbd": "mariadb-server"}
"""Packages of Debian and Ubuntu by the program that is looked for."""
_OF_REAL_MACHINES = {"nft": "nftables"}
"""What an emulated machine does without: it has one user."""
_FOREIGN_UNITS = ("slurmctld", "slurmd", "slurmdbd", "munge", "mariadb")
"""Services that these packages bring and start; ours stand in for them."""
_INSTALL_SECONDS = 900.0
_PATIENCE_SECONDS = 600.0
"""After its first start a system updates its lists of packages itself, for minutes; nobody else may then."""
_PAUSE_SECONDS = 10.0
_APT = ("apt-get", "-o", "DPkg::Lock::Timeout=300")
"""Another one may be at work when a machine starts."""


class PackagesMissingError(Exception):
    """Programs of Slurm's are missing and could not be installed; one line."""


def ensure_packages(bucket: Bucket, machine: Machine, role: str, *, accounting: bool) -> None:
    """Install what the machine's role needs and the image lacks. Raises PackagesMissingError."""
    missing = _missing(machine, role, accounting)
    if not missing:
        return
    if machine.emulated:
        raise PackagesMissingError(f"{', '.join(missing)}: not on the computer that emulates this machine")
    run_manager(["systemctl", "mask", *(f"{unit}.service" for unit in _FOREIGN_UNITS)], _INSTALL_SECONDS)
    deadline = time.monotonic() + _PATIENCE_SECONDS
    with tempfile.TemporaryDirectory(prefix="fleetform-packages-") as folder:
        ours = {PACKAGES, f"{PACKAGES}{role}/"}  # those for all machines, and those of the role's alone
        files = fetch_packages(
            bucket,
            PACKAGES,
            Path(folder),
            lambda key: key.endswith(".deb") and key.rpartition("/")[0] + "/" in ours,
        )
        while True:
            said = _install(files, list(missing.values()))
            left = _missing(machine, role, accounting)
            if not left:
                return
            if time.monotonic() > deadline:
                break
            time.sleep(_PAUSE_SECONDS)
    where = f"s3://{bucket.name}/{PACKAGES}"
    tried = f"the packages of {where}" if files else f"the packages {', '.join(sorted(missing.values()))}"
    advice = "" if files else f"; a machine that reaches no package source needs the .deb files in {where}"
    raise PackagesMissingError(f"{tried} did not bring {', '.join(left)}: {said}{advice}")


def _install(files: Sequence[str], names: Sequence[str]) -> str:
    """Install the files, or where there are none the packages of those names; return what was said last."""
    updated = "" if files else run_manager([*_APT, "update"], _INSTALL_SECONDS)
    install = [*_APT, "install", "--yes", "--no-install-recommends", *(files or names)]
    installed = run_manager(install, _INSTALL_SECONDS)
    return "; ".join(dict.fromkeys(each for each in (updated, installed) if each))


def _missing(machine: Machine, role: str, accounting: bool) -> dict[str, str]:
    """Return the programs that are not there, each with its package."""
    needed = _NODE_PACKAGES if role == ROLE_NODE else _HEAD_PACKAGES
    if role != ROLE_NODE and accounting:
        needed = {**needed, **_ACCOUNTING_PACKAGES}
    if not machine.emulated:
        needed = {**needed, **_OF_REAL_MACHINES}
    return {name: package for name, package in needed.items() if not machine.has(name)}
