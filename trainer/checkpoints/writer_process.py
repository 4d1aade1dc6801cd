"""A rank's hold on its writer: started before training, told what to do, replaced when it dies."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import warnings
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from typing import Any

_PACKAGE_ROOT = Path(__file__).parent.parent.parent


class WriterProcess:
    """The writer beside this process; what it answers is fetched without waiting."""

    def __init__(self, memory: int) -> None:
        """Start the writer in the background; `memory` is the descriptor of the memory that it reads."""
        self._memory = memory
        self._plan: tuple[bytes, bytes] | None = None
        self._start()

    def plan(self, plan: dict[str, Any], metadata: bytes) -> None:
        """Tell it once what every save is made of."""
        self._plan = (json.dumps({"do": "plan", **plan}).encode(), metadata)
        self._send_plan()

    def send(self, message: dict[str, Any]) -> None:
        """Tell it to do something; a dead one is found out by `answers`."""
        with contextlib.suppress(OSError):
            self._connection.send_bytes(json.dumps(message).encode())

    def answers(self, seconds: float = 0.0) -> list[dict[str, Any]] | None:
        """Return what it has answered, after waiting so long for the first; None where it has died.

        A dead one is reported and replaced; what it had been told to do is lost.
        """
        found: list[dict[str, Any]] = []
        try:
            while self._connection.poll(0.0 if found else seconds):
                found.append(json.loads(self._connection.recv_bytes()))
        except (EOFError, OSError):
            if found:
                return found
            code = self._process.wait()
            warnings.warn(
                f"the checkpoints' writer ended with {code}; another is started, the save is lost",
                stacklevel=2,
            )
            self._connection.close()
            self._start()
            self._send_plan()
            return None
        return found

    def close(self) -> None:
        """End it; what it has not written is given up."""
        self._connection.close()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def _start(self) -> None:
        ours, other = Pipe()
        self._connection: Connection = ours
        path = os.pathsep.join(filter(None, (str(_PACKAGE_ROOT), os.environ.get("PYTHONPATH"))))
        # -P: a `trainer.py` or a `json.py` in the current folder is the user's, not ours.
        command = [sys.executable, "-P", "-m", "trainer.checkpoints.writer", str(os.getpid())]
        self._process = subprocess.Popen(
            [*command, str(other.fileno()), str(self._memory)],
            env={**os.environ, "PYTHONPATH": path},
            stdin=subprocess.DEVNULL,
            pass_fds=(other.fileno(), self._memory),
        )
        other.close()

    def _send_plan(self) -> None:
        if self._plan:
            with contextlib.suppress(OSError):
                for message in self._plan:
                    self._connection.send_bytes(message)
