"""Entries into machines that this project has begun and not ended: a file each, held while it goes on.

Who is killed in a machine cannot put their end on record; the next command finds the file that nobody holds
any more. The lock goes along to the process that carries the session, so an entry is over when both are.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fleet.held_files import hold, left_behind
from fleet.session import Session

_FOLDER = "entries"


class OpenEntry:
    """One entry that this process has begun."""

    def __init__(self, session: Session, about: Mapping[str, Any]) -> None:
        """Write down what is about to begin."""
        self._file = _folder(session) / f"{uuid.uuid4().hex}.json"
        self._handle = hold(self._file, json.dumps(about))
        self.is_begun = False
        """Whether somebody is, or was, inside."""

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
    for file, text in left_behind(_folder(session)):
        try:
            about = json.loads(text)
        except ValueError:
            continue
        if isinstance(about, dict):
            yield file, about


def _folder(session: Session) -> Path:
    return session.project.work(session.cloud.name, session.spec.name) / _FOLDER
