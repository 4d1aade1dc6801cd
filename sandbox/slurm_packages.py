"""Slurm's programs on this computer: the installed ones, or Debian's packages, unpacked without root."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

_NEEDED = ("slurmctld", "slurmd", "sbatch", "srun", "scontrol", "munged", "slurmdbd", "mariadbd")
_PACKAGES = (
    "slurmctld",
    "slurmd",
    "slurm-client",
    "slurm-wlm-basic-plugins",
    "munge",
    "libmunge2",
    "libhwloc15",
    "liblua5.1-0",
    "slurmdbd",
    "slurm-wlm-mysql-plugin",
    "libmariadb3",
    "mariadb-server-core",
    "mariadb-client-core",
    "libaio1",
    "liburing2",
    "libncurses6",
)
"""What Slurm and its accounting need beyond a Debian without a desktop: 12 MB, unpacked 74 MB."""
_ALTERNATIVES = ("slurmd", "slurmctld", "slurmstepd")
"""Programs that an installed package reaches by links, which are made at installation."""
_FOLDERS = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
_DOWNLOAD_SECONDS = 300
_MISSING = (
    "install it: `apt-get install slurm-wlm munge slurmdbd mariadb-server iproute2`; no daemon need run"
)


class SlurmMissingError(Exception):
    """Slurm's programs are not here and could not be fetched; the message says what to do."""


def is_installed() -> bool:
    """Return whether this computer has Slurm's programs."""
    return all(any(Path(folder, name).exists() for folder in _FOLDERS) for name in _NEEDED)


def find_slurm(cache: Path | None = None) -> Path | None:
    """Return where Slurm's packages are unpacked, fetched where they are not; None where installed.

    `cache` is a folder of this user's, by default below `$XDG_CACHE_HOME`. Raises SlurmMissingError.
    """
    if is_installed():
        return None
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    prefix = (cache or home / "fleetform") / "slurm"
    if not (prefix / "usr/sbin/slurmdbd").exists():
        _unpack(prefix)
    return prefix


def unpacked_variables(prefix: Path) -> dict[str, str]:
    """Return what lets the unpacked programs find their libraries."""
    libraries = sorted(prefix.glob("usr/lib/*-linux-gnu"))
    paths = [str(path) for each in libraries for path in (each / "slurm-wlm", each)]
    inherited = [path for path in [os.environ.get("LD_LIBRARY_PATH")] if path]
    return {"FLEETFORM_SLURM_PREFIX": str(prefix), "LD_LIBRARY_PATH": os.pathsep.join([*paths, *inherited])}


def _unpack(prefix: Path) -> None:
    """Fetch the packages and unpack them; the folder appears whole or not at all."""
    if not all(map(shutil.which, ("apt-get", "dpkg-deb"))):
        raise SlurmMissingError(
            f"Slurm is not installed, and there is no apt-get to fetch it with; {_MISSING}"
        )
    prefix.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=prefix.parent) as scratch:
        root = Path(scratch, "root")
        root.mkdir(mode=0o700)
        try:
            _run(["apt-get", "download", "--quiet", *_PACKAGES], Path(scratch))
            for package in sorted(Path(scratch).glob("*.deb")):
                _run(["dpkg-deb", "--extract", str(package), str(root)], Path(scratch))
        except (OSError, subprocess.SubprocessError) as error:
            detail = error.stderr.strip() if isinstance(error, subprocess.CalledProcessError) else error
            raise SlurmMissingError(
                f"Slurm is not installed and could not be fetched ({detail}); {_MISSING}"
            ) from error
        for name in _ALTERNATIVES:
            link = root / "usr/sbin" / name
            if not link.exists():
                link.symlink_to(f"{name}-wlm")
        shutil.rmtree(prefix, ignore_errors=True)
        root.replace(prefix)


def _run(command: list[str], folder: Path) -> None:
    subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True, timeout=_DOWNLOAD_SECONDS)
