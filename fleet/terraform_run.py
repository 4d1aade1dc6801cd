"""Watching a terraform process: reading its output as it grows, and ctrl-C."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from fleet.terraform_events import ProgressEvent, Stream
from fleet.terraform_lock import RunRecord, hold

_POLL_SECONDS = 0.05
_KEPT_LOGS = 10


class Tail:
    """Reads a file that another process writes, whole lines at a time."""

    def __init__(self, path: Path, stream: Stream) -> None:
        """Prepare to feed the file's lines to the stream."""
        self._path = path
        self._stream = stream
        self._offset = 0

    def read(self, *, final: bool = False) -> None:
        """Take in what has been added since; `final` also takes a last line without its end."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                data = file.read()
        except FileNotFoundError:
            return
        if not final:
            data = data[: data.rfind(b"\n") + 1]
        self._offset += len(data)
        for line in data.decode("utf-8", "replace").splitlines():
            self._stream.read_line(line)


def watch(tail: Tail, ended: Callable[[], bool]) -> None:
    """Feed the stream until `ended` says so, then once more."""
    while not ended():
        tail.read()
        time.sleep(_POLL_SECONDS)
    tail.read(final=True)


@dataclass
class _Passing:
    """A terraform of this process that each ctrl-C is passed on to."""

    pid: int
    stream: Stream
    interrupts: int = 0


_passing: list[_Passing] = []
"""All that run now; several where stacks are worked on side by side."""


def _pass_on(number: int, frame: FrameType | None) -> None:
    """Handle ctrl-C: let every terraform stop cleanly; with none at work it is an ordinary interrupt."""
    if not _passing:
        raise KeyboardInterrupt
    for each in list(_passing):
        each.interrupts += 1
        text = (
            f"interrupted: Terraform saves {each.stream.stack} and stops (ctrl-C again cuts it short)"
            if each.interrupts == 1
            else f"interrupted again: Terraform leaves {each.stream.stack} at once"
        )
        each.stream.report(ProgressEvent(kind="note", stack=each.stream.stack, text=text))
        with suppress(ProcessLookupError):  # it may just have ended by itself
            os.kill(each.pid, signal.SIGINT)


@contextmanager
def listening() -> Iterator[None]:
    """Let ctrl-C reach every terraform of this process, in whichever thread; only the main one can listen."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, _pass_on)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def passing_interrupts(pid: int, stream: Stream) -> Iterator[Callable[[], bool]]:
    """Pass each ctrl-C on to terraform, which then stops cleanly; yields whether there was one.

    Terraform runs in a session of its own, so the terminal does not reach it. Only the main thread can
    listen; for another one it must (`listening`).
    """
    passing = _Passing(pid, stream)
    _passing.append(passing)
    try:
        with listening():
            yield lambda: passing.interrupts > 0
    finally:
        _passing.remove(passing)


def follow(folder: Path, stream: Stream) -> bool:
    """Show the terraform that runs in the folder until it ends; False where none did.

    ctrl-C ends the following only: the terraform belongs to another command, or to one that was killed.
    """
    held = hold(folder)
    if held is not None:
        os.close(held)
        return False
    record = RunRecord.read(folder)
    what = str(record) if record else "a terraform"
    text = f"{stream.stack}: {what} is still at work; following it until it ends"
    stream.report(ProgressEvent(kind="note", stack=stream.stack, text=text))

    def ended() -> bool:
        free = hold(folder)
        if free is not None:
            os.close(free)
        return free is not None

    watch(Tail(folder / record.log if record else folder / "none", stream), ended)
    return True


def prune_logs(folder: Path) -> None:
    """Delete all but the newest logs of a stack's folder."""
    logs = sorted(folder.glob("terraform.*.jsonl"), key=lambda log: log.stat().st_mtime)
    for log in logs[:-_KEPT_LOGS]:
        log.unlink(missing_ok=True)
