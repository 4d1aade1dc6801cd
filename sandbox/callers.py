"""Who is at the other end of a request's connection: found by the socket, ended, or left without an answer.

Linux shows the sockets of this computer in /proc/net/tcp, and whose they are in /proc/<pid>/fd. A machine
that has a network of its own is not found so.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_LOCAL, _REMOTE, _INODE = 1, 2, 9
"""Columns of /proc/net/tcp."""


def end_caller(environ: Mapping[str, Any], *, group: bool) -> list[int]:
    """Kill whoever made a WSGI request, with `group` their process groups; return the processes found."""
    found = callers(int(environ["REMOTE_PORT"]), int(environ["SERVER_PORT"]))
    for pid in found:
        with contextlib.suppress(ProcessLookupError):
            own = os.getpgid(pid)
            if group and own != os.getpgrp():
                os.killpg(own, signal.SIGKILL)
            else:
                os.kill(pid, signal.SIGKILL)
    if not found:
        print(
            f"a fault was to kill its caller, whom nobody knows: {environ.get('REMOTE_ADDR')}",
            file=sys.stderr,
        )
    return found


def callers(port: int, server_port: int) -> list[int]:
    """Return the processes that hold the connection from that port to the server's, this one not."""
    inode = _inode(port, server_port)
    if inode is None:
        return []
    others = (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())
    return [pid for pid in others if pid != os.getpid() and _holds(pid, f"socket:[{inode}]")]


def hang_up(environ: Mapping[str, Any]) -> ConnectionAbortedError:
    """Close the request's connection; return what the server takes for its end when it is raised."""
    connection = environ.get("werkzeug.socket")
    if connection is not None:
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
    return ConnectionAbortedError("cut by a fault")


def _inode(port: int, server_port: int) -> str | None:
    """Return the number of the client's socket, None where it is not one of this computer's."""
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        columns = line.split()
        ports = [int(columns[each].rpartition(":")[2], 16) for each in (_LOCAL, _REMOTE)]
        if ports == [port, server_port]:
            return columns[_INODE]
    return None


def _holds(pid: int, link: str) -> bool:
    """Return whether one of the process's open files is that one."""
    with contextlib.suppress(OSError):  # it ended meanwhile, or is another user's
        for each in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                if str(each.readlink()) == link:
                    return True
    return False
