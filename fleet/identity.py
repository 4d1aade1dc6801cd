"""Who runs this process on this machine, as its operating system knows them."""

from __future__ import annotations

import os
import pwd
import socket


def os_user() -> str:
    """Return the login name, or the number of a user that this machine has no name for (in a container)."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def os_identity() -> str:
    """Return user@host, as Terraform writes it into a lock."""
    return f"{os_user()}@{socket.gethostname()}"
