"""Entries into machines that this project has begun and not ended: a file each, held while it goes on.

Who is killed in a machine cannot put their end on record; the next command finds the file that nobody holds
any more. The lock goes along to the process that carries the session, so an entry is over when both are.
"""

from __future__ import annotations

import fcntl
import json
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fleet.session import Session

_FOLDER = "entries"


class OpenEntry:
    """One entry that this process has begun."""

    def __init__(self, session: Session, about: Mapping[str, Any]) -> None:
        """Write down what is about to begin."""
        folder = _folder(session)
        folder.mkdir(parents=True, exist_ok=True)
        self._file = folder / f"{uuid.uuid4().hex}.json"
        temporary = self._file.with_suffix(".new")
        self._handle = temporary.open("w+", encoding="utf-8")
        fcntl.flock(self._handle, fcntl.LOCK_EX)
        self.is_begun = False
        """Whether somebody is, or was, inside."""
        self._write(about)
        temporary.rename(self._file)

    @property
    def descriptor(self) -> int:
        """The open file that holds it, for a process that is to hold it too."""
        return self._handle.fileno()

    def begin(self, about: Mapping[str, Any]) -> None:
        """Write down that it has begun, and all that is known of it by now."""
        self.is_begun = True
        self._write(about)

    def close(self, *, keep: bool = False) -> None:
        """Let go of it; it is forgotten, but where it is to be kept for the next command."""
        if not keep:
            self._file.unlink(missing_ok=True)
        self._handle.close()

    def _write(self, about: Mapping[str, Any]) -> None:
        self._handle.seek(0)
        self._handle.truncate()
        self._handle.write(json.dumps(about))
        self._handle.flush()


def left_over(session: Session) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Yield the entries that nobody holds any more, each with its file; it is locked until the next."""
    for file in sorted(_folder(session).glob("*.json")):
        try:
            handle = file.open(encoding="utf-8")
        except FileNotFoundError:
            continue
        with handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                about = json.load(handle)
            except (BlockingIOError, ValueError):
                continue
            if file.exists() and isinstance(about, dict):  # another command may have seen to it meanwhile
                yield file, about


def _folder(session: Session) -> Path:
    return session.project.work(session.cloud.name, session.spec.name) / _FOLDER
