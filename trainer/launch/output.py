"""Passes on what the ranks print: whole lines, never one rank's inside another's."""

from __future__ import annotations

import contextlib
import os
import selectors
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

_PATIENCE_SECONDS = 1.0
"""How long the beginning of a line waits for its end: a progress bar writes none."""
_LONGEST = 65536
_REMEMBERED = 500


@dataclass
class _Stream:
    """One stream of one rank."""

    rank: int
    local_rank: int
    target: int
    begun: bytes = b""
    since: float = 0.0


@dataclass
class Output:
    """Reads the ranks' pipes in a thread of its own."""

    prefix: bool = False
    """Whether `[rank N] ` stands before each line."""
    on_first: Callable[[], None] = lambda: None
    """Called once when something was printed, again after each `forget`; from the thread."""
    last_time: float = field(default_factory=time.monotonic)
    """CLOCK_MONOTONIC when a rank last printed."""
    _selector: selectors.BaseSelector = field(default_factory=selectors.DefaultSelector)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _said: dict[int, deque[bytes]] = field(default_factory=dict)
    _silent: bool = True

    def start(self) -> None:
        """Begin to read."""
        self._wake_read, self._wake_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._selector.register(self._wake_read, selectors.EVENT_READ)
        threading.Thread(target=self._pump, daemon=True, name="output").start()

    def pipe(self, rank: int, local_rank: int, target: int) -> int:
        """Return the writing end of a new pipe whose lines go to the descriptor `target`."""
        reading, writing = os.pipe2(os.O_CLOEXEC)
        with self._lock:
            self._selector.register(reading, selectors.EVENT_READ, _Stream(rank, local_rank, target))
        os.write(self._wake_write, b"\0")
        return writing

    def forget(self) -> None:
        """Begin a new attempt: what the ranks of the last one have said is not asked for any more."""
        with self._lock:
            self._said.clear()
            self._silent, self.last_time = True, time.monotonic()

    def said(self, local_rank: int) -> list[str]:
        """Return the last lines that a rank has written to standard error."""
        with self._lock:
            return [line.decode(errors="replace") for line in self._said.get(local_rank, ())]

    def clear_said(self, local_rank: int) -> None:
        """Forget what a rank has said so far."""
        with self._lock:
            self._said.pop(local_rank, None)

    def say(self, line: str) -> None:
        """Write a line of the launcher's own to standard error, between the ranks' lines."""
        with self._lock, contextlib.suppress(OSError):
            os.write(2, f"{line}\n".encode())

    def drain(self, seconds: float) -> None:
        """Wait until every pipe has been read to its end, at most so long; those still open are let go."""
        until = time.monotonic() + seconds
        while time.monotonic() < until and self._streams():
            time.sleep(0.005)
        with self._lock:
            for fd, stream in self._streams():
                self._close(fd, stream)

    def _streams(self) -> list[tuple[int, _Stream]]:
        entries = list(self._selector.get_map().values())
        return [(key.fd, key.data) for key in entries if isinstance(key.data, _Stream)]

    def _pump(self) -> None:
        while True:
            ready = self._selector.select(_PATIENCE_SECONDS / 2)
            with self._lock:
                for key, _ in ready:
                    if isinstance(key.data, _Stream):
                        self._read(key.fd, key.data)
                    else:
                        with contextlib.suppress(BlockingIOError):
                            os.read(self._wake_read, 4096)
                now = time.monotonic()
                for _, stream in self._streams():
                    if stream.begun and now - stream.since > _PATIENCE_SECONDS:
                        self._write(stream, stream.begun)
                        stream.begun = b""

    def _read(self, fd: int, stream: _Stream) -> None:
        try:
            data = os.read(fd, _LONGEST)
        except OSError:
            data = b""
        if not data:
            self._close(fd, stream)
            return
        self.last_time = time.monotonic()
        if self._silent:
            self._silent = False
            self.on_first()
        if not stream.begun:
            stream.since = self.last_time
        whole, end, rest = data.rpartition(b"\n")
        if end:
            self._write(stream, stream.begun + whole + end)
            stream.begun, stream.since = rest, self.last_time
        else:
            stream.begun += data
            if len(stream.begun) > _LONGEST:
                self._write(stream, stream.begun)
                stream.begun = b""

    def _close(self, fd: int, stream: _Stream) -> None:
        with contextlib.suppress(KeyError):
            self._selector.unregister(fd)
            os.close(fd)
        if stream.begun:
            self._write(stream, stream.begun + b"\n")
            stream.begun = b""

    def _write(self, stream: _Stream, data: bytes) -> None:
        if stream.target == 2:
            said = self._said.setdefault(stream.local_rank, deque(maxlen=_REMEMBERED))
            said.extend(data.splitlines())
        if self.prefix:
            mark = f"[rank {stream.rank}] ".encode()
            data = b"".join(mark + line for line in data.splitlines(keepends=True))
        with contextlib.suppress(OSError):  # whoever read it is gone; the ranks go on
            while data:
                data = data[os.write(stream.target, data) :]
