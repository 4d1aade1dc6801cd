"""Where the demo lies, and how a new one takes over from one that is still there or was killed."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import time
from pathlib import Path
from typing import IO

from scripts.console_io import say

HOME = Path(os.environ.get("FLEETFORM_DEMO_HOME", ".fleetform/demo")).resolve()
LOCK = HOME / "demo.lock"
UNFINISHED = HOME / "unfinished.json"
"""There while a demo is under way; names the command that it had started last."""


def end_process(pid: int, number: signal.Signals) -> None:
    """Signal a process if it is there and ours."""
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        return


def take_over() -> IO[str]:
    """Hold the demo's lock, after ending an earlier demo that still has it; return the open file."""
    HOME.mkdir(parents=True, exist_ok=True)
    file = LOCK.open("a+")
    for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGKILL):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            file.seek(0)
            pid = int(file.read() or 0)
            say(f"an earlier demo is still there (process {pid}); ending it")
            end_process(pid, number)
            time.sleep(2)
    else:
        fcntl.flock(file, fcntl.LOCK_EX)
    file.seek(0)
    file.truncate()
    file.write(str(os.getpid()))
    file.flush()
    return file


def end_leftover_command() -> None:
    """End the command that a killed demo had started; what Terraform does goes on and is attached to."""
    child = json.loads(UNFINISHED.read_text() or "{}").get("child")
    if child and "scripts.cli" in command_line(child):
        end_process(child, signal.SIGKILL)


def command_line(pid: int) -> str:
    """Return a process's command line, or "" where there is none (or no /proc)."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""
