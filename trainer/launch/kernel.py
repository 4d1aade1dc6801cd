"""What Linux offers a launcher and Python does not wrap: who dies with whom, and who has orphans."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import time
from collections.abc import Collection
from pathlib import Path

# linux/prctl.h
_PR_SET_PDEATHSIG, _PR_SET_NAME, _PR_SET_CHILD_SUBREAPER = 1, 15, 36
_LIBC = ctypes.CDLL(None, use_errno=True)


def die_with_parent(number: int = signal.SIGKILL) -> None:
    """Have the kernel send this process that signal when the thread that started it ends; 0 takes it back."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, number)


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent ends."""
    _LIBC.prctl(_PR_SET_CHILD_SUBREAPER, 1)


def set_name(name: str) -> None:
    """Set what `ps -o comm` and `top` call this process, 15 bytes at most."""
    _LIBC.prctl(_PR_SET_NAME, name.encode())


def children(pid: int) -> list[int]:
    """Return the processes whose parent is `pid`, ended ones that nobody has waited for included."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError, ValueError, IndexError):  # it may end between the two looks
                # The name in brackets may hold anything; the state and the parent follow its last bracket.
                fields = (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()
                if int(fields[1]) == pid:
                    found.append(int(entry.name))
    return found


def kill_group(pid: int) -> None:
    """Kill the process group that `pid` leads, if there still is one."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def kill_children(keep: Collection[int] = (), seconds: float = 10.0) -> list[int]:
    """Kill and reap every child of this process that is not to be kept; return those that do not end.

    For one that adopts orphans this ends all that the killed ones have started, too. One that a driver or a
    file system holds inside the kernel may never end: `seconds` is how long it is waited for.
    """
    until = time.monotonic() + seconds
    while left := [pid for pid in children(os.getpid()) if pid not in keep]:
        for pid in left:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        for pid in left:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
        if time.monotonic() > until:
            return [pid for pid in children(os.getpid()) if pid not in keep]
        time.sleep(0.002)
    return []


def kills_for_memory() -> int:
    """Return how many processes the kernel has ended for want of memory, in this control group or at all."""
    for path, key in (
        (_own_group("") / "memory.events", "oom_kill"),  # control groups, version 2
        (_own_group("memory") / "memory.oom_control", "oom_kill"),  # version 1
        (Path("/proc/vmstat"), "oom_kill"),
    ):
        with contextlib.suppress(OSError, ValueError):
            for line in path.read_text().splitlines():
                name, _, value = line.partition(" ")
                if name == key:
                    return int(value)
    return 0


def _own_group(controller: str) -> Path:
    """Return the folder of this process's control group; a path that is not there where it has none."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            _, names, path = line.split(":", 2)
            if controller in names.split(",") and (controller or not names):
                base = Path("/sys/fs/cgroup") / controller
                # Inside a container the path is the host's, and the own group is mounted at the root.
                inner = base / path.lstrip("/")
                return inner if inner.is_dir() else base
    return Path("/nonexistent")
