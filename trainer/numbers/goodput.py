"""Where a run's time went, as it happens: one line an event in goodput.jsonl (standard library only)."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

FILE = "goodput.jsonl"
"""The events' file in the run directory."""
SHORTEST_WINDOW, LONGEST_WINDOW = 0.2, 10.0
"""Seconds of training that one line tells of, at least and at most."""
WINDOW_SHARE = 0.01
"""A line comes after this share of the process's time, so what a kill leaves untold is about 1 % at most."""


class GoodputLog:
    """Appends events to a run's goodput.jsonl; without a path it does nothing.

    Each event is one write to a file opened for appending, so the launcher and rank 0 can share the file, and
    what was written outlives a kill -9 of both.
    """

    def __init__(self, path: Path | None) -> None:
        self._file: int | None = None
        self._torn = self._warned = False
        if path is None:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
        size = os.fstat(self._file).st_size
        # A machine died within a line.
        self._torn = bool(size) and os.pread(self._file, 1, size - 1) != b"\n"

    def event(self, kind: str, *, time_s: float | None = None, **fields: Any) -> None:
        """Append an event. `time_s` is when it was, in seconds since the epoch; now, where it is left out.

        A file that cannot be written, on a full disk, costs the events and not the run: it is told once.
        """
        if self._file is None:
            return
        moment = time.time() if time_s is None else time_s
        line = {"time": round(moment, 6), "event": kind, "pid": os.getpid(), **fields}
        data = (b"\n" if self._torn else b"") + json.dumps(line).encode() + b"\n"
        try:
            self._torn = os.write(self._file, data) < len(data)
        except OSError as error:
            if not self._warned:
                print(
                    f"warning: {FILE} cannot be written, the run goes on: {error}",
                    file=sys.stderr,
                    flush=True,
                )
            self._warned = True

    def close(self) -> None:
        """Close the file; later events are dropped."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


class StepWindows:
    """Gathers the steps of a process into `steps` events; a step in between costs under a microsecond.

    `begin` where the first step is to be timed from, `step` at the end of each. Whatever interrupts training
    (an evaluation, also one within a step) stands between `flush` and another `begin`.
    """

    def __init__(self, log: GoodputLog) -> None:
        self._log = log
        self._born = self._mark = self._since = time.perf_counter()
        self._paused_at: float | None = None
        self._paused = self._data_wait = self._blocked = 0.0
        self._first = self._last = 0
        self._due = 0.0
        self._started = False

    def begin(self) -> None:
        """Start the clock, or go on after an interruption."""
        now = time.perf_counter()
        if not self._started:
            self._started = True
            self._since = self._mark = now
        elif self._paused_at is not None:
            self._paused += now - self._paused_at
        self._paused_at = None
        self._schedule(now)

    def step(self, number: int, data_wait_s: float = 0.0, blocked_save_s: float = 0.0) -> None:
        """Count a step that has just ended; its waits for data and for a save are within it."""
        self._mark = time.perf_counter()
        self._first = self._first or number
        self._last = number
        self._data_wait += data_wait_s
        self._blocked += blocked_save_s
        if self._mark >= self._due:
            self._tell()
            self._schedule(self._mark)

    def _schedule(self, now: float) -> None:
        self._due = now + min(max(WINDOW_SHARE * (now - self._born), SHORTEST_WINDOW), LONGEST_WINDOW)

    def flush(self) -> None:
        """Write down the steps that have ended: before an interruption, a stop, the end."""
        self._tell()
        self._paused_at = time.perf_counter()

    def _tell(self) -> None:
        """Write the window up to the last step's end; what came after it belongs to the next one."""
        if not self._first:
            return
        end = time.time() - (time.perf_counter() - self._mark)
        span = self._mark - self._since
        self._log.event(
            "steps",
            time_s=end,
            begin=round(end - span, 6),
            **{"from": self._first, "to": self._last},
            seconds=round(max(0.0, span - self._paused), 6),
            data_wait_s=round(self._data_wait, 6),
            blocked_save_s=round(self._blocked, 6),
        )
        self._since = self._mark
        self._first = self._last = 0
        self._paused = self._data_wait = self._blocked = 0.0
