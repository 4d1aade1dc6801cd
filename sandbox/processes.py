"""Processes of emulated nodes: found by a mark in their environment, ended to the last (standard library).

A mark in the environment is inherited by every descendant, also by one that made a session of its own, which
a process group would miss. Linux shows it in /proc/<pid>/environ.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

SANDBOX_VARIABLE = "FLEETFORM_SANDBOX"
"""Set on every process of every node: the folder of the embedded cloud that it belongs to."""
NODE_VARIABLE = "FLEETFORM_NODE_ID"
"""Set on every process of a node: the id of its instance."""

_POLL_SECONDS = 0.02
_KILL_SECONDS = 5.0
"""After SIGKILL a process is gone as soon as the kernel gets to it; only uninterruptible I/O takes longer."""


def marked(variable: str, value: str) -> list[int]:
    """Return the ids of all living processes whose environment sets the variable to the value."""
    wanted = f"{variable}={value}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        with contextlib.suppress(OSError):  # it ended meanwhile, or is another user's
            if wanted in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
    return found


def end_marked(variable: str, value: str, *, grace_s: float) -> None:
    """End every process with the mark: SIGTERM, and SIGKILL to whatever lives after `grace_s` seconds."""
    if grace_s > 0:
        _signal_all(marked(variable, value), signal.SIGTERM)
        deadline = time.monotonic() + grace_s
        while marked(variable, value) and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
    deadline = time.monotonic() + _KILL_SECONDS
    # Repeated, because a process may have forked while the list was read.
    while (left := marked(variable, value)) and time.monotonic() < deadline:
        _signal_all(left, signal.SIGKILL)
        time.sleep(_POLL_SECONDS)


def _signal_all(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)
