"""The job's processes on this node: started as a group, stopped with grace, and none left behind."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

MARK = "FLEETFORM_RUN_DIR"
"""The variable by which a job's process is known, whatever session it is in; the value is the part's own."""
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


class JobProcess:
    """launch.sh and all that it starts."""

    def __init__(
        self,
        argv: Sequence[str],
        environment: Mapping[str, str],
        cwd: Path,
        log: Path,
        on_end: Callable[[], None],
    ) -> None:
        """Start it in a session of its own; `on_end` is called from another thread once it has ended.

        Systems Manager's agent cancels with SIGKILL to its own process group. The session keeps the job out
        of that group, and the parent-death signal tells the launcher to stop its ranks when the runner was
        killed so.
        """
        self._environment = environment
        libc = ctypes.CDLL(None)

        def die_with_parent() -> None:
            libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)

        with log.open("ab") as output:
            self._process = subprocess.Popen(
                list(argv),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=cwd,
                env=dict(environment),
                start_new_session=True,
                preexec_fn=die_with_parent,  # safe: no other thread runs yet
            )
        self._on_end = on_end
        threading.Thread(target=self._reap, daemon=True).start()

    def _reap(self) -> None:
        self._process.wait()
        self._on_end()

    @property
    def exit_code(self) -> int | None:
        """As a shell counts it, 128 and the signal's number for a killed one; None while it runs."""
        code = self._process.returncode
        return 128 - code if code is not None and code < 0 else code

    @property
    def killed(self) -> bool:
        """Whether SIGKILL has ended it; an exit code of 137 may also be its own word about a rank."""
        return self._process.returncode == -signal.SIGKILL

    def terminate(self) -> None:
        """Ask the process group to end."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGTERM)

    def kill_all(self) -> None:
        """End every process that the job has left, in whatever session it is."""
        value = self._environment[MARK]
        for _ in range(20):  # a process may fork while we look
            left = marked_processes(MARK, value)
            if not left:
                return
            for pid in left:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.05)


def marked_processes(name: str, value: str) -> list[int]:
    """Return the processes, other than this one, that were started with that environment variable."""
    mark = f"{name}={value}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            # A process may end between the two looks, or belong to somebody else.
            with contextlib.suppress(OSError):
                if mark in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
    return found
