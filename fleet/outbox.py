"""What was done and could not be recorded: kept on this machine until the ledger takes it, before all else.

An act that cannot be recorded does not start. One that has started may end while the ledger does not answer:
its closing entry is put here, whole, and is written before the next entry of this project. One whose process
is killed leaves the note that it held (fleet/held_files.py), and that becomes its closing entry.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from fleet.held_files import hold, left_behind

_LOCK, _OPEN = ".lock", "open"
_KILLED = "its process ended some time after that without a word: it was killed, or its machine lost power"


@dataclass(frozen=True)
class Kept:
    """One entry that waits."""

    file: Path
    content: dict[str, Any]
    """The entry without its place in the chain."""
    tried: tuple[int, ...]
    """Numbers under which it may have been written after all: the answer to a request can get lost."""
    why: str

    def trying(self, number: int) -> None:
        """Note, before it is tried, the number under which it is to be written."""
        _write(self.file, self.content, [*self.tried, number], self.why)

    def done(self) -> None:
        """Forget it: it is in the ledger."""
        self.file.unlink()


class Outbox:
    """One ledger's, in a folder of this machine."""

    def __init__(self, folder: Path) -> None:
        """Take the folder, which is made when there is something to keep."""
        self.folder = folder

    def keep(self, content: Mapping[str, Any], tried: Sequence[int], why: str) -> Path:
        """Keep an entry, on disk when this returns; raises OSError where that can't be."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        # The name sorts by time: what happened first is recorded first.
        file = self.folder / f"{content['time'].replace(':', '')}-{content['id']}.json"
        _write(file, content, tried, why)
        return file

    def begin(self, content: Mapping[str, Any]) -> OpenAct:
        """Note how the act that begins now ends if its process is killed: by the entry `content`."""
        return OpenAct(self.folder / _OPEN / f"{content['id']}.json", content)

    @contextmanager
    def waiting(self) -> Iterator[list[Kept]]:
        """Give what waits, oldest first, to one process at a time; what killed processes began, too."""
        if not _names(self.folder) and next(left_behind(self.folder / _OPEN), None) is None:
            yield []
            return
        with (self.folder / _LOCK).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self._take_over()
            yield [_read(self.folder / name) for name in _names(self.folder)]

    def _take_over(self) -> None:
        """Keep what killed processes have left, unless they had kept its end themselves."""
        for file, text in left_behind(self.folder / _OPEN):
            first, *numbers = text.splitlines()
            content = json.loads(first)
            if not any(self.folder.glob(f"*-{content['id']}.json")):
                self.keep(content, [int(number) for number in numbers], _KILLED)
            file.unlink()


class OpenAct:
    """An act that this process has begun: a line with its closing entry, one for each number tried for it."""

    def __init__(self, file: Path, content: Mapping[str, Any]) -> None:
        """Write the note; where the disk takes none the act goes on without."""
        self._file = file
        self._handle: TextIO | None = None
        with contextlib.suppress(OSError):
            file.parent.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._handle = hold(file, json.dumps(content, ensure_ascii=False) + "\n")

    def trying(self, number: int) -> None:
        """Note, before it is tried, the number under which its end is to be written."""
        with contextlib.suppress(OSError):
            if self._handle:
                self._handle.write(f"{number}\n")
                self._handle.flush()

    def close(self) -> None:
        """Forget it: its end is in the ledger, or kept."""
        if self._handle:
            with contextlib.suppress(OSError):
                self._file.unlink(missing_ok=True)
                self._handle.close()


def _names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.glob("*.json")) if folder.is_dir() else []


def _read(file: Path) -> Kept:
    kept = json.loads(file.read_text(encoding="utf-8"))
    return Kept(file, kept["entry"], tuple(kept["tried"]), kept["why"])


def _write(file: Path, content: Mapping[str, Any], tried: Sequence[int], why: str) -> None:
    partial = file.with_suffix(".partial")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as opened:
        json.dump({"entry": content, "tried": list(tried), "why": why}, opened, ensure_ascii=False)
        opened.flush()
        os.fsync(opened.fileno())
    partial.replace(file)
