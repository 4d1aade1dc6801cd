"""A small disk for the user's machine, which can be filled: a file system in memory."""

from __future__ import annotations

import contextlib
import os
import subprocess
from pathlib import Path

MIB = 96
"""What the folder of a project and of Terraform's work may take; they need some 30."""
_BALLAST = ".ballast"


def namespace_command() -> list[str]:
    """Return what starts a command that may mount for itself; it alone sees what it mounts."""
    return ["unshare", "--mount", *(() if os.geteuid() == 0 else ("--user", "--map-root-user"))]


def can_mount() -> bool:
    """Return whether a small disk can be had here."""
    probe = [*namespace_command(), "mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", "/tmp"]
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        return subprocess.run(probe, capture_output=True, timeout=20).returncode == 0
    return False


class SmallDisk:
    """A disk of its own for one folder."""

    def __init__(self, folder: Path) -> None:
        """Mount it, in a process that `namespace_command` has started."""
        self._folder, self._ballast = folder, folder / _BALLAST
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={MIB}m,mode=700", "tmpfs", str(folder)], check=True
        )

    def fill(self) -> None:
        """Leave no room at all."""
        with self._ballast.open("ab", buffering=0) as file:
            for size in (1 << 20, 4096, 1):
                with contextlib.suppress(OSError):  # it ends there
                    while file.write(b"\0" * size):
                        pass

    def empty(self) -> None:
        """Give the room back."""
        self._ballast.unlink(missing_ok=True)

    def unmount(self) -> None:
        """Take it away, whoever still has a file of it open."""
        subprocess.run(["umount", "--lazy", str(self._folder)], check=False)
