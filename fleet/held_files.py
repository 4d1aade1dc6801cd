"""Files that say what a process is at, held by it for as long as it lives: who is killed cannot let one go.

The kernel takes the lock (flock) away with the last process that has the file open, so a file that nobody
holds any more was left behind.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO


def hold(file: Path, text: str) -> TextIO:
    """Write a file that is held from the moment on at which it is there; return it open, at its end.

    Raises OSError where it can't be written.
    """
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = file.with_suffix(".new")
    handle = temporary.open("w+", encoding="utf-8")
    fcntl.flock(handle, fcntl.LOCK_EX)
    handle.write(text)
    handle.flush()
    os.fsync(handle.fileno())
    temporary.rename(file)
    return handle


def left_behind(folder: Path) -> Iterator[tuple[Path, str]]:
    """Yield the files that nobody holds any more, with what they say; each is held until the next."""
    for file in sorted(folder.glob("*.json")):
        try:
            handle = file.open(encoding="utf-8")
        except FileNotFoundError:
            continue
        with handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            if file.exists():  # another process may have seen to it meanwhile
                yield file, handle.read()
