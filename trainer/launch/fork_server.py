"""The launcher's end of the zygote: starts it, starts it again, and turns what it says into events."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from trainer.launch.options import Options

Events = queue.SimpleQueue[tuple[str, Any]]
"""What happens to a launcher: the kind, and what belongs to it."""
_LARGEST_MESSAGE = 65536
_PROGRAM = Path(__file__).with_name("zygote.py")


class ForkServer:
    """One zygote, replaced by a new one when it dies."""

    def __init__(
        self,
        options: Options,
        on_event: Callable[[dict[str, Any]], None],
    ) -> None:
        """`on_event` is called from another thread with the zygote's events, and `gone` once it has died."""
        self._start_kind, self._on_event = options.start, on_event
        self._command = ("module" if options.is_module else "script", options.target, *options.arguments)
        self._orders = 0
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start a zygote; it answers `ready` when it can fork. Call it from the main thread alone.

        The kernel ends the zygote with the thread that started it.
        """
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-u", str(_PROGRAM), str(theirs.fileno()), *self._command],
                pass_fds=[theirs.fileno()],
                start_new_session=True,  # a terminal's Ctrl-C is for the launcher alone
            )
        self._channel = ours
        self._channel.send(self._start_kind.encode())
        threading.Thread(target=self._listen, args=(ours, self._process), daemon=True).start()

    @property
    def pid(self) -> int:
        """The zygote's process."""
        assert self._process is not None, "the fork server has been started"
        return self._process.pid

    def fork_rank(self, environment: Mapping[str, str], fds: Mapping[str, int]) -> int:
        """Order a rank and return the order's number; `fds` are stdout, stderr and what variables name."""
        return self._order("rank", list(fds.values()), environment=dict(environment), fd_names=list(fds))

    def fork_store(self) -> int:
        """Order a fresh TCP store and return the order's number; its `store` event says the port."""
        return self._order("store", [])

    def _order(self, kind: str, fds: list[int], **fields: Any) -> int:
        self._orders += 1
        message = json.dumps({"do": kind, "id": self._orders, **fields}).encode()
        assert len(message) < _LARGEST_MESSAGE, "an order holds a rank's own variables alone"
        with contextlib.suppress(OSError):  # a zygote that is gone says so itself
            socket.send_fds(self._channel, [message], fds)
        return self._orders

    def _listen(self, channel: socket.socket, process: subprocess.Popen[bytes]) -> None:
        with channel:
            while data := self._receive(channel):
                self._on_event(json.loads(data))
        process.wait()
        self._on_event({"is": "gone", "pid": process.pid, "code": process.returncode})

    @staticmethod
    def _receive(channel: socket.socket) -> bytes:
        try:
            return channel.recv(_LARGEST_MESSAGE)
        except OSError:
            return b""

    def kill(self) -> None:
        """End the zygote and, with it, whatever it forked."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._process.pid, signal.SIGKILL)
