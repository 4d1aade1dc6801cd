"""Processes of emulated nodes: found by a mark in their environment, ended to the last (standard library).

A mark in the environment is inherited by every descendant, also by one that made a session of its own, which
a process group would miss. Linux shows it in /proc/<pid>/environ.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

SANDBOX_VARIABLE = "FLEETFORM_SANDBOX"
"""Set on every process of every node: the folder of the embedded cloud that it belongs to."""
NODE_VARIABLE = "FLEETFORM_NODE_ID"
"""Set on every process of a node: the id of its instance."""
SERVER_VARIABLE = "FLEETFORM_SANDBOX_SERVER"
"""Set on every process of every node: one value per run of the server, which its guardian looks for."""

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


def kill_marked(variable: str, value: str) -> None:
    """Kill every process with the mark at once, and every descendant of one, marked or not."""
    deadline = time.monotonic() + _KILL_SECONDS
    while (found := marked(variable, value)) and time.monotonic() < deadline:
        _signal_all([*found, *_descendants(found)], signal.SIGKILL)
        time.sleep(_POLL_SECONDS)


def _descendants(pids: list[int]) -> list[int]:
    """Return the living descendants of these processes, as /proc shows them now."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                # The name before it is in parentheses and may hold anything.
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                children.setdefault(parent, []).append(int(entry.name))
    found, open_ends = [], list(pids)
    while open_ends:
        below = children.pop(open_ends.pop(), [])
        found += below
        open_ends += below
    return found


def _signal_all(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def spawn(
    command: Sequence[str | Path],
    *,
    environment: Mapping[str, str],
    folder: Path,
    output: IO[bytes],
    errors: IO[bytes],
    cores: frozenset[int],
    typed: IO[bytes] | None = None,
) -> subprocess.Popen[bytes]:
    """Start a command as the leader of its own session, on these cores from its first instruction on.

    It reads what is `typed`, without which it finds nothing to read.
    """
    # On Linux the affinity belongs to the thread, and a child inherits its parent thread's.
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        return subprocess.Popen(
            command,
            stdin=typed or subprocess.DEVNULL,
            stdout=output,
            stderr=errors,
            cwd=folder,
            env=environment,
            start_new_session=True,
        )
    finally:
        os.sched_setaffinity(0, before)


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """Kill the process and its group, unless it has ended: its number may be another's by then."""
    if process.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
