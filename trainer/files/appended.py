"""Files that grow by whole records, whatever the disk does."""

from __future__ import annotations

import os
from pathlib import Path


class AppendedFile:
    """A file to which records are appended, each at once and whole or not at all; for one writer.

    Raises OSError, from the start or an append, where the disk is full or gone; a later append is tried anew.
    """

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        self._size = os.fstat(self._file).st_size

    def append(self, record: bytes) -> None:
        """Append the record; where it does not fit, take back the part that did."""
        try:
            written = os.write(self._file, record)
            while written < len(record):
                written += os.write(self._file, record[written:])
        except OSError:
            os.ftruncate(self._file, self._size)
            raise
        self._size += written

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)
