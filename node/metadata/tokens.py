"""What a run proves itself by to its machine's own service: a file that only the run's user can read.

A job's prolog makes it and its epilog takes it away. They lie where a restart of the machine forgets them.
"""

from __future__ import annotations

import hmac
import os
import secrets
from pathlib import Path

from node.cluster.machine import Machine

_TOKEN_BYTES = 32
_ADDRESS = "address"
"""Beside the tokens: where the service listens."""


def folder(machine: Machine) -> Path:
    """Return the folder of the tokens, in which everybody finds what they know the name of."""
    return machine.run / "metadata"


def token_path(machine: Machine, job_id: int) -> Path:
    """Return where the token of a job is."""
    return folder(machine) / str(job_id)


def make_folder(machine: Machine) -> Path:
    """Make the folder, and return it."""
    found = folder(machine)
    found.mkdir(parents=True, exist_ok=True)
    found.chmod(0o711)
    return found


def grant(machine: Machine, job_id: int, uid: int) -> None:
    """Make a token for a job of the user with that number; one that is there counts no more."""
    part = make_folder(machine) / f".{job_id}.part"
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400), "w") as file:
        file.write(secrets.token_urlsafe(_TOKEN_BYTES))
        if uid != os.geteuid():
            os.fchown(file.fileno(), uid, -1)
    part.replace(token_path(machine, job_id))


def revoke(machine: Machine, job_id: int) -> None:
    """Take a job's token away."""
    token_path(machine, job_id).unlink(missing_ok=True)


def owner(machine: Machine, job_id: int, token: str) -> int | None:
    """Return the number of the user whose job has this token, or None where it has another, or has ended."""
    try:
        with token_path(machine, job_id).open() as file:
            is_same = hmac.compare_digest(file.read().encode(), token.encode())
            return os.fstat(file.fileno()).st_uid if is_same else None
    except FileNotFoundError:
        return None


def tell_address(machine: Machine, address: str) -> None:
    """Write where the service listens, `127.0.0.1:417`."""
    part = make_folder(machine) / f".{_ADDRESS}.part"
    part.write_text(address)
    part.chmod(0o444)
    part.replace(folder(machine) / _ADDRESS)


def read_address(machine: Machine) -> str:
    """Return where the service listens; "" where there is none."""
    try:
        return (folder(machine) / _ADDRESS).read_text()
    except OSError:
        return ""
