"""The clerk's book: every run that it has accepted, on the disk that outlives it and its machine."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any


@dataclass
class Entry:
    """One accepted run, until its final event is written."""

    run_id: str
    team: str
    fleet: str
    nodes: int
    gpus: int
    """Of each node."""
    limit_minutes: float
    submitted: str
    """UTC, ISO 8601: when its user asked for it."""
    accepted: str
    priority: str = "normal"
    """`low`, `normal` or `high`."""
    after: list[str] = field(default_factory=list)
    parent: str = ""
    """The array that it is a task of; "" for a run of its own."""
    index: int | None = None
    tasks: list[int] | None = None
    """Of an array: the numbers of its tasks; it has no job of its own."""
    task_ends: dict[str, str] = field(default_factory=dict)
    """Of an array: the final events of the tasks that are over, by number."""
    attempt: int = 1
    job_id: int = 0
    """Slurm's job, of a task the array's; 0 while none is known."""
    submissions: int = 0
    said: str = ""
    """The last event that was written."""
    reason: str = ""
    allocated: float | None = None
    """When it was given its nodes, seconds since the epoch; None while it has none."""
    started: float | None = None
    """When they had all come, and its batch step began."""
    queued_since: str = ""
    """UTC: since when it waits, or waited: its submission, or when it lost its nodes."""
    placed: list[dict[str, Any]] = field(default_factory=list)
    times: dict[str, str] = field(default_factory=dict)
    """UTC times of the receipt's phases."""
    node_seconds: float = 0.0
    """What its earlier executions have used."""
    requeues: int = 0
    held: bool = False
    hold_due: bool = False
    """Whether Slurm is still to be told that it is held, or not any more."""
    never: str = ""
    """Why it can't begin; its job, or of an array those of its tasks that have none, are being ended."""
    cancelled_by: str = ""
    cancelled_at: float | None = None
    requeue_asked: float | None = None
    """When somebody asked for its requeueing; None once that is done."""
    idle_cause: str = ""
    """Why it makes no progress; "" as long as it does."""
    idle_stops: float | None = None
    """When it is stopped for that, seconds since the epoch; None while nobody was warned."""
    idle_asked: float | None = None
    """When that came; None while it has not."""
    stop_written: bool = False
    over: bool = False
    """Whether it was struck out of the book."""
    missing: int = 0
    """Consecutive looks at which Slurm did not know it."""

    @property
    def idle_stop(self) -> str:
        """Why it was told to stop for making no progress; "" where it was not."""
        return f"idle: {self.idle_cause}" if self.idle_asked is not None else ""

    @property
    def target(self) -> str:
        """What Slurm's programs call it, `17` or `17_3`."""
        return str(self.job_id) if self.index is None else f"{self.job_id}_{self.index}"


class Book:
    """All entries, in memory and as one file each."""

    def __init__(self, folder: Path) -> None:
        """Read what a clerk before this one has left; a file that was being written is none.

        One that can't be read is moved to `damaged/`, and keeps no other run from going on.
        """
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lock = threading.Lock()
        self._locks: dict[str, threading.RLock] = {}
        self._entries: dict[str, Entry] = {}
        for file in sorted(folder.glob("*.json")):
            try:
                self._entries[file.stem] = _read(file)
            except (ValueError, TypeError, AttributeError, OSError) as error:
                print(f"{file.stem}: its file in the book is damaged: {error!r}", file=sys.stderr, flush=True)
                _put_aside(file)
        for file in folder.glob(".*.new"):
            file.unlink()

    def get(self, run_id: str) -> Entry | None:
        """Return the entry of a run; None for one that is over, or was never accepted."""
        return self._entries.get(run_id)

    def entries(self) -> list[Entry]:
        """Return all entries as they are now."""
        with self._lock:
            return list(self._entries.values())

    def tasks_of(self, array: str) -> list[Entry]:
        """Return the entries of an array's tasks that are not over."""
        return [entry for entry in self.entries() if entry.parent == array]

    @contextlib.contextmanager
    def locked(self, run_id: str) -> Iterator[None]:
        """Keep a run to oneself: whoever acts on it or tells of it."""
        with self._lock:
            lock = self._locks.setdefault(run_id, threading.RLock())
        with lock:
            yield

    def is_busy(self, run_id: str) -> bool:
        """Return whether somebody has the run to himself now."""
        lock = self._locks.get(run_id)
        if lock is None:
            return False
        if lock.acquire(blocking=False):
            lock.release()
            return False
        return True

    def save(self, entry: Entry, *, durable: bool = False) -> None:
        """Write an entry; `durable`: it is on the disk, and not only on its way there, when this returns.

        What the file says is there before its name is, so that no power cut leaves an empty one; but for a
        task, which is made anew from its array.
        """
        part = self._folder / f".{entry.run_id}.{threading.get_ident()}.new"
        with part.open("w") as file:
            json.dump(asdict(entry), file)
            if durable or not entry.parent:
                file.flush()
                os.fsync(file.fileno())
        with self._lock:
            if entry.over:  # somebody has struck it out meanwhile
                part.unlink()
                return
            part.replace(self._folder / f"{entry.run_id}.json")
            self._entries[entry.run_id] = entry
        if durable:
            descriptor = os.open(self._folder, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def remove(self, entry: Entry) -> None:
        """Strike out a run that is over."""
        with self._lock:
            entry.over = True
            self._entries.pop(entry.run_id, None)
            self._locks.pop(entry.run_id, None)
            (self._folder / f"{entry.run_id}.json").unlink(missing_ok=True)


def _read(file: Path) -> Entry:
    known = {each.name for each in fields(Entry)}
    told = json.loads(file.read_text())
    entry = Entry(**{name: value for name, value in told.items() if name in known})
    if entry.run_id != file.stem:
        raise ValueError(f"it is of the run {entry.run_id!r}")
    return entry


def _put_aside(file: Path) -> None:
    aside = file.parent / "damaged"
    with contextlib.suppress(OSError):
        aside.mkdir(exist_ok=True)
        file.replace(aside / file.name)
