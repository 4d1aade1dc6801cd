"""An upload's folder on the console's disk: what has come of each file, and all of it once it is checked.

While they come, files have numbers and not the names that they were given. How much of one has come is its
size on disk, so that nothing has to be remembered over a crash.
"""

from __future__ import annotations

import datetime
import fcntl
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import IO

from console.uploads.manifest import Manifest

_MANIFEST, _FILES, _DATA = "upload.json", "files", "data"
_PIECE = 2**20


class OffsetError(Exception):
    """Something else of the file has come than whoever sends it believes."""

    def __init__(self, offset: int) -> None:
        """Take how many bytes have come."""
        super().__init__(f"{offset} bytes have come")
        self.offset = offset


class TooLongError(Exception):
    """More of a file is sent than it was said to have."""


class UploadFolder:
    """The folder of one upload."""

    def __init__(self, path: Path) -> None:
        """Take the folder as it is, or is to become."""
        self.path = path

    @property
    def data(self) -> Path:
        """Where all of it lies under its own names, once that has been made."""
        return self.path / _DATA

    @property
    def manifest(self) -> Manifest:
        """What it is to have; raises FileNotFoundError where there is no such folder, or no more."""
        with (self.path / _MANIFEST).open("rb"):
            return _read_manifest(self.path / _MANIFEST)

    @property
    def is_here(self) -> bool:
        """Whether there is such a folder, whole, on this machine."""
        return (self.path / _MANIFEST).is_file()

    def create(self, manifest: Manifest) -> None:
        """Make the folder, for nobody else to read."""
        self.path.mkdir(parents=True, mode=0o700)
        (self.path / _FILES).mkdir()
        (self.path / _MANIFEST).write_text(manifest.to_json(), encoding="utf-8")

    def remove(self) -> None:
        """Remove all of it, the manifest first: without it there is no upload."""
        with suppress(FileNotFoundError):
            (self.path / _MANIFEST).unlink()
        shutil.rmtree(self.path, ignore_errors=True)

    @property
    def touched(self) -> datetime.datetime:
        """When something last came, UTC."""
        return datetime.datetime.fromtimestamp((self.path / _MANIFEST).stat().st_mtime, datetime.UTC)

    def offsets(self) -> list[int]:
        """Return how many bytes of each file have come."""
        count = len(self.manifest.files)
        with os.scandir(self.path / _FILES) as entries:
            sizes = {entry.name: entry.stat().st_size for entry in entries}
        return [sizes.get(str(number), 0) for number in range(count)]

    def missing(self) -> int:
        """Return how many files have not come whole."""
        wanted = (each.size for each in self.manifest.files)
        return sum(has < size for has, size in zip(self.offsets(), wanted, strict=True))

    def append(self, number: int, offset: int, body: bytes) -> int:
        """Add to a file what begins at that offset, and return how much of it has come then.

        Raises OffsetError where it goes on elsewhere, TooLongError beyond its size, OSError where the disk
        takes no more; nothing has been added then. Whoever sends at the same time waits.
        """

        def write(file: int, at: int) -> None:
            if at != offset:
                raise OffsetError(at)
            left = memoryview(body)
            while left:
                left = left[os.pwrite(file, left, at + len(body) - len(left)) :]

        return self._within(number, offset + len(body), write)

    def fill(self, number: int, source: IO[bytes]) -> None:
        """Write a whole file, which has the size that was said."""

        def write(file: int, at: int) -> None:
            while piece := source.read(_PIECE):
                os.write(file, piece)

        self._within(number, self.manifest.files[number].size, write)

    def raw(self, number: int) -> Path:
        """Return where a file lies while it comes."""
        return self.path / _FILES / str(number)

    def drop_raw(self) -> None:
        """Remove what came; what was made of it under its own names stays."""
        shutil.rmtree(self.path / _FILES, ignore_errors=True)

    def _within(self, number: int, end: int, write: Callable[[int, int], None]) -> int:
        """Write to one file while nobody else does; it is as it was before where that fails."""
        if end > self.manifest.files[number].size:
            raise TooLongError
        file = os.open(self.raw(number), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            before = os.fstat(file).st_size
            try:
                write(file, before)
            except OSError:
                os.ftruncate(file, before)
                raise
            os.utime(self.path / _MANIFEST)
            return os.fstat(file).st_size
        finally:
            os.close(file)


@lru_cache(maxsize=16)
def _read_manifest(path: Path) -> Manifest:
    """Return a manifest, which never changes: whoever sends thousands of files asks for it each time."""
    return Manifest.from_json(path.read_text(encoding="utf-8"))
