"""Jobs under the launcher, as tests start and disturb them."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from trainer.launch import kernel

ROOT = Path(__file__).parents[1]
SCRIPTS = ROOT / "tests" / "launch_scripts"
PATIENCE = 120.0


class Job:
    """A launcher that runs, and what it and its ranks have printed."""

    def __init__(self, *arguments: str, **environment: str) -> None:
        clean = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("FLEETFORM_", "AWS_EC2_", "RANK", "WORLD_SIZE", "LOCAL_", "MASTER_"))
        }
        self.process = subprocess.Popen(
            [sys.executable, "-m", "trainer.launch", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            env={**clean, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **environment},
        )
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))
        self.process.stdout.close()

    def __enter__(self) -> Job:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._reader.join(10)

    @property
    def steps(self) -> list[int]:
        """The steps that rank 0 has printed, in order."""
        return [int(line.split()[1]) for line in self.lines if line.startswith("step ")]

    @property
    def said(self) -> list[str]:
        """The launcher's own lines."""
        return [line.removeprefix("launcher: ") for line in self.lines if line.startswith("launcher: ")]

    def wait_for(self, what: Callable[[Job], object], seconds: float = PATIENCE) -> None:
        """Wait until `what` is true of the job."""
        wait_until(lambda: what(self), seconds, lambda: "\n".join(self.lines))

    def wait(self, seconds: float = PATIENCE) -> int:
        """Wait for the end and return the exit code; all output has been read then."""
        code = self.process.wait(seconds)
        self._reader.join(10)
        return code

    def process_named(self, name: str) -> int:
        """Return the one process below the launcher that has this name: `rank 1`, `rank store`."""
        found = [pid for pid in descendants(self.process.pid) if comm(pid) == name]
        assert len(found) == 1, (name, found)
        return found[0]

    def kill(self, name: str) -> None:
        """Kill -9 that process."""
        os.kill(self.process_named(name), signal.SIGKILL)

    @property
    def zygote(self) -> int:
        """The process that forks the ranks."""
        return kernel.children(self.process.pid)[0]


def wait_until(what: Callable[[], object], seconds: float, say: Callable[[], str] = lambda: "") -> None:
    """Wait until `what` returns something true."""
    until = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < until, say()
        time.sleep(0.01)


def descendants(pid: int) -> Iterator[int]:
    """Yield every process below this one."""
    for child in kernel.children(pid):
        yield child
        yield from descendants(child)


def comm(pid: int) -> str:
    """Return a process's name, "" where it has ended."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text().strip()
    return ""


def alive(pids: Sequence[int]) -> list[int]:
    """Return those that still run; one that has ended and is not yet reaped does not."""
    left = []
    for pid in pids:
        with contextlib.suppress(OSError):
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX":
                left.append(pid)
    return left
