"""This machine's own system with the folders emptied that a cluster's daemons write to.

For a program that is root in a mount and network namespace of its own; nothing of it outlives the namespace.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

_EMPTY = ("/run", "/opt", "/var/spool", "/var/log", "/var/fleetform", "/var/lib/munge", "/tmp")
ADDRESS = "10.77.0.11"
"""Of the machine in its network of its own."""


def empty_the_system() -> None:
    """Replace the folders that the daemons write to; `/etc` by a copy, for users are added there."""
    run("mount", "-t", "tmpfs", "tmpfs", "/mnt")
    etc = Path("/mnt/etc")
    shutil.copytree("/etc", etc, symlinks=True)
    run("mount", "--bind", str(etc), "/etc")
    ours = {Path(f"/mnt/ours/{n}"): each for n, each in enumerate(_ours_that_vanish())}
    for kept, folder in ours.items():
        kept.mkdir(parents=True)
        run("mount", "--bind", str(folder), str(kept))
    for name in _EMPTY:
        Path(name).mkdir(exist_ok=True)
        run("mount", "-t", "tmpfs", "-o", "mode=0755", "tmpfs", name)
    Path("/tmp").chmod(0o1777)
    for kept, folder in ours.items():
        folder.mkdir(parents=True, exist_ok=True)
        run("mount", "--bind", str(kept), str(folder))
    shutil.rmtree("/etc/slurm", ignore_errors=True)
    run("ip", "link", "set", "lo", "up")
    # Names are resolved only on a machine that has an address beside its loopback one.
    run("ip", "link", "add", "eth0", "type", "veth", "peer", "name", "eth1")
    run("ip", "address", "add", f"{ADDRESS}/24", "dev", "eth0")
    for end in ("eth0", "eth1"):
        run("ip", "link", "set", end, "up")


def _ours_that_vanish() -> list[Path]:
    """Return the folders of these tests and of their Python that lie below one that is emptied."""
    ours = {Path(__file__).resolve().parent.parent, Path(sys.prefix), Path(sys.base_prefix)}
    return sorted(each for each in ours if any(each.is_relative_to(name) for name in _EMPTY))


def run(*command: str, user: str = "") -> str:
    """Run a command, as another user where one is named; return what it said, of a failure too."""
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
        user=user or None,
        cwd="/",
        timeout=60,
    )
    return (done.stdout + done.stderr).strip()
