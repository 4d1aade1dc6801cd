"""A shell on an emulated machine, behind a terminal: what is typed goes in, what it says is written down."""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import shutil
import struct
import sys
import termios
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sandbox.file_systems import PROGRAMS
from sandbox.node import Node
from sandbox.processes import kill_group

_TERMINAL = Path(__file__).with_name("terminal.py")
_PROFILE = PROGRAMS / "profile"
_POLL_SECONDS = 0.1
_PIECE = 1024
"""Bytes that the agent sends at once."""
_ROWS, _COLUMNS = 24, 80
IDLE_MINUTES, LONGEST_MINUTES = 20, 1440
"""Where the document says nothing: the service's default, and its limit."""

Listener = Callable[[bytes], None]


@dataclass(frozen=True)
class ShellRules:
    """What a session's document says of its shell."""

    profile: str = ""
    """Typed before anything else, "" for nothing."""
    idle_minutes: float = IDLE_MINUTES
    longest_minutes: float = LONGEST_MINUTES


class Shell:
    """One session's shell, from its start to its end."""

    def __init__(self, node: Node, session_id: str, rules: ShellRules, on_end: Callable[[str], None]) -> None:
        """Start it; `on_end` is told why it has ended, "" where that was its own doing, before listeners are.

        Raises NodeGoneError where the machine does not run.
        """
        self._rules, self._on_end = rules, on_end
        self._terminal, inside = os.openpty()
        self._lock, self._typing = threading.Lock(), threading.Lock()
        self._listener: tuple[Listener, Callable[[str], None]] | None = None
        self._why = ""
        self.ended = False
        folder = node.root / "var/lib/amazon/ssm/session"
        folder.mkdir(parents=True, exist_ok=True)
        self.transcript = folder / f"{session_id}.log"
        """On the machine, until its end."""
        _install_profile(node)
        self.resize(_COLUMNS, _ROWS)
        with os.fdopen(inside, "r+b", buffering=0) as end:
            self._process = node.spawn(
                [sys.executable, "-I", "-S", _TERMINAL, "sh"],
                output=end,
                errors=end,
                typed=end,
                extra={"TERM": "xterm-256color", "FLEETFORM_PATH": node.environment["PATH"]},
            )
        if rules.profile:
            self.type(f"{rules.profile}\n".encode())
        self._began = self._touched = time.monotonic()
        threading.Thread(target=self._listen, daemon=True).start()

    def attach(self, said: Listener, ended: Callable[[str], None]) -> None:
        """Hand what it says from now on to `said`, and to `ended` why it is over."""
        with self._lock:
            self._listener = said, ended

    def detach(self) -> None:
        """Let nobody listen; the shell goes on."""
        with self._lock:
            self._listener = None

    def type(self, keys: bytes) -> None:
        """Type; after the end that does nothing."""
        self._touched = time.monotonic()
        with self._typing, contextlib.suppress(OSError):
            while keys and not self.ended:
                if select.select([], [self._terminal], [], _POLL_SECONDS)[1]:
                    keys = keys[os.write(self._terminal, keys[:_PIECE]) :]

    def resize(self, columns: int, rows: int) -> None:
        """Take over the size of the client's terminal."""
        with self._typing, contextlib.suppress(OSError, struct.error):
            fcntl.ioctl(self._terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def end(self, why: str = "") -> None:
        """Kill it; what it has said is heard all the same, and `on_end` follows."""
        self._why = self._why or why
        kill_group(self._process)

    def _listen(self) -> None:
        """Write down and hand on what it says until it ends, and end it where its time is over."""
        with self.transcript.open("ab", buffering=0) as file:
            while (piece := self._read()) is not None:
                if piece:
                    with contextlib.suppress(OSError):
                        file.write(piece)
                    self._tell(piece)
                self._keep_time()
        kill_group(self._process)
        self._process.wait()
        self.ended = True
        self._on_end(self._why)
        with self._typing:
            os.close(self._terminal)
        with self._lock:
            listener = self._listener
        if listener is not None:
            listener[1](self._why)

    def _read(self) -> bytes | None:
        """Return what it says within a moment, b"" for nothing, None at its end."""
        if select.select([self._terminal], [], [], _POLL_SECONDS)[0]:
            try:
                return os.read(self._terminal, _PIECE) or None
            except OSError:  # nobody has the other end any more
                return None
        return None if self._process.poll() is not None else b""

    def _tell(self, piece: bytes) -> None:
        self._touched = time.monotonic()
        with self._lock:
            listener = self._listener
        if listener is not None:
            listener[0](piece)

    def _keep_time(self) -> None:
        now = time.monotonic()
        if now - self._touched > self._rules.idle_minutes * 60:
            self.end(f"nothing was typed for {self._rules.idle_minutes:g} minutes")
        elif now - self._began > self._rules.longest_minutes * 60:
            self.end(f"a session lasts {self._rules.longest_minutes:g} minutes at most")


def _install_profile(node: Node) -> None:
    """Give the machine's user what a login shell reads last: /etc/profile is this computer's own."""
    file = node.root / ".bash_profile"
    if not file.exists():
        shutil.copy(_PROFILE, file)
