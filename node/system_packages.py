"""Packages of the operating system: fetched from the artifact bucket, and handed to its package manager."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from node.store import Bucket


def fetch_packages(bucket: Bucket, prefix: str, folder: Path, wanted: Callable[[str], bool]) -> list[str]:
    """Bring the packages below a prefix whose keys are wanted into the folder, and return their paths."""
    found = []
    for key in sorted(bucket.sizes(prefix)):
        body = bucket.get(key) if wanted(key) else None
        if body is not None:
            path = folder / key.rpartition("/")[2]
            path.write_bytes(body)
            found.append(str(path))
    return found


def run_manager(command: Sequence[str], seconds: float) -> str:
    """Run a command of the system's and return the last line of what it said; "" for a quiet success."""
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds,
            env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    said = (done.stderr.strip() or done.stdout.strip()).splitlines()
    return said[-1] if said else f"exit code {done.returncode}" if done.returncode else ""
