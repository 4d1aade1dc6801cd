"""Keeps the machine's metadata service, and so the machine's role, from programs there: rules of nftables.

Only root may ask, and on the head Slurm's own user. The rules lie in the node bundle, one file for each role.
AWS describes such rules of its own: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instance-metadata-limiting-access.html
"""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Sequence

from node.cluster.machine import Machine

ADDRESSES = (("169.254.169.254", 80), ("fd00:ec2::254", 80))
"""Where EC2's metadata service is, by IPv4 and by IPv6."""
_SECONDS = 20.0
_ANSWER_SECONDS = 2.0


class OpenError(Exception):
    """The metadata service could not be closed to the teams' users; one line."""


def close(machine: Machine, role: str) -> None:
    """Load the rules of a machine of that role; those that are there are replaced. Raises OpenError.

    Emulated machines have none: there, everybody is one user.
    """
    if machine.emulated:
        return
    rules = machine.bundle / "rules" / f"metadata-{role}.nft"
    try:
        command = [machine.executable("nft"), "-f", str(rules)]
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, timeout=_SECONDS
        )
    except Exception as error:
        raise OpenError(_why(str(error))) from error
    if done.returncode != 0:
        raise OpenError(_why((done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[0]))


def _why(said: str) -> str:
    return f"the metadata service cannot be closed to the teams' programs, which then had this role: {said}"


def answers(uid: int, addresses: Sequence[tuple[str, int]] = ADDRESSES) -> bool:
    """Return whether a process of the user with that number gets a connection to the metadata service.

    Called by root, in a process without other threads.
    """
    process = os.fork()
    if process == 0:
        try:
            os.setgroups([])
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
            os._exit(1 if any(_connects(address) for address in addresses) else 0)
        finally:  # whatever went wrong: nothing is known
            os._exit(1)
    _, status = os.waitpid(process, 0)
    return os.waitstatus_to_exitcode(status) != 0


def _connects(address: tuple[str, int]) -> bool:
    try:
        with socket.create_connection(address, timeout=_ANSWER_SECONDS):
            return True
    except OSError:
        return False
