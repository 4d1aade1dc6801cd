"""Says how far a preparation is: on a terminal a line that renews itself, elsewhere plain lines."""

from __future__ import annotations

import sys
import time
from typing import TextIO

TERMINAL_SECONDS, PIPE_SECONDS = 0.2, 10.0
"""Shortest time between two messages."""


class Progress:
    """What is counted while data is prepared, on standard error."""

    def __init__(self, things: str, total: int | None = None, stream: TextIO | None = None) -> None:
        """Count `things`, of which there are `total` where that is known."""
        self._things, self._total = things, total
        self._stream = stream or sys.stderr
        self._terminal = self._stream.isatty()
        self._done = 0
        self._begin = self._told = time.monotonic()

    def add(self, count: int = 1) -> None:
        """Count so many more, and tell where it is time to."""
        self._done += count
        now = time.monotonic()
        if now - self._told >= (TERMINAL_SECONDS if self._terminal else PIPE_SECONDS):
            self._told = now
            self._tell(now)

    def close(self) -> None:
        """Tell the last state on a line of its own, where anything was told before."""
        if self._told > self._begin:
            self._tell(time.monotonic())
            if self._terminal:
                self._stream.write("\n")

    def _tell(self, now: float) -> None:
        rate = self._done / max(now - self._begin, 1e-9)
        of = f" of {self._total:,}" if self._total is not None else ""
        left = f", {(self._total - self._done) / rate:.0f} s left" if self._total and rate else ""
        line = f"{self._done:,}{of} {self._things}, {rate:,.0f}/s{left}"
        self._stream.write(f"\r\x1b[K{line}" if self._terminal else f"{line}\n")
        self._stream.flush()
