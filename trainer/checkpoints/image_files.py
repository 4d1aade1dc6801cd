"""Parts of a memory written to files as they are, past the page cache where possible, and hashed."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from trainer.checkpoints.slots import PAGE

_BLOCK = 4 << 20


@dataclass(frozen=True)
class Extent:
    """A file of a checkpoint and where in an image its bytes lie."""

    name: str
    start: int
    """On a page's boundary."""
    length: int


class Throttle:
    """At most so many bytes a second, None for any number."""

    def __init__(self, bytes_per_second: float | None) -> None:
        self.rate = bytes_per_second
        self._free_at = 0.0

    def take(self, count: int) -> None:
        """Wait until `count` more bytes may go."""
        if self.rate:
            now = time.monotonic()
            self._free_at = max(now, self._free_at) + count / self.rate
            time.sleep(max(0.0, self._free_at - now))


def write_extent(memory: memoryview, image: int, extent: Extent, folder: Path, throttle: Throttle) -> str:
    """Write the file and have it on the disk; return its SHA-256. Raises OSError.

    `image` is where in the memory the image begins. Writing past the page cache costs a twentieth of the
    processor time and leaves the cache to the data that is trained on; file systems that refuse it get an
    ordinary write. The last page is written whole and the file then cut, for the disk takes whole pages.
    """
    path, digest = folder / extent.name, hashlib.sha256()
    descriptor, direct = _open(path)
    try:
        for start, stop in _blocks(extent.length):
            throttle.take(stop - start)
            at = image + extent.start + start
            digest.update(memory[at : at + stop - start])
            padded = -(-(stop - start) // PAGE) * PAGE if direct else stop - start
            _write_all(descriptor, memory[at : at + padded], start)
        if direct:
            os.ftruncate(descriptor, extent.length)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    if path.stat().st_size != extent.length:
        raise OSError(f"{path} has {path.stat().st_size} bytes instead of {extent.length}")
    return digest.hexdigest()


def _open(path: Path) -> tuple[int, bool]:
    """Open the file for writing; return its descriptor and whether it goes past the page cache."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
    try:
        return os.open(path, flags | os.O_DIRECT, 0o666), True
    except OSError:  # EINVAL of tmpfs and of some network file systems; anything else comes again below
        return os.open(path, flags, 0o666), False


def _blocks(length: int) -> Iterator[tuple[int, int]]:
    for start in range(0, length, _BLOCK):
        yield start, min(length, start + _BLOCK)


def _write_all(descriptor: int, data: memoryview, position: int) -> None:
    while data:
        try:
            count = os.pwrite(descriptor, data, position)
        except OSError as error:
            if error.errno != errno.EINVAL or not _turn_direct_off(descriptor):
                raise
            continue
        data, position = data[count:], position + count


def _turn_direct_off(descriptor: int) -> bool:
    """Have the file written through the page cache from here on; return whether that is a change."""
    flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
    fcntl.fcntl(descriptor, fcntl.F_SETFL, flags & ~os.O_DIRECT)
    return bool(flags & os.O_DIRECT)
