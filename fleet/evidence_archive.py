"""The zip of an evidence pack while it is written: each file's digest goes into SHA256SUMS, its last."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from fleet.copy_check import SUMS_FILE

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""With what a spreadsheet takes a cell for a formula; names are whatever somebody chose."""


class Archive:
    """One zip with one folder in it."""

    def __init__(self, file: Path, folder: str) -> None:
        """Begin the zip."""
        self._zip = zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED)
        self._folder = folder
        self._sums: dict[str, str] = {}

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the zip, whole or not."""
        self._zip.close()

    def add(self, name: str, data: bytes) -> None:
        """Put a file into it."""
        self._sums[name] = hashlib.sha256(data).hexdigest()
        self._zip.writestr(f"{self._folder}/{name}", data)

    def add_json(self, name: str, value: Any) -> None:
        """Put a value into it; a moment is written in ISO 8601."""
        self.add(name, (json.dumps(value, indent=2, ensure_ascii=False, default=str) + "\n").encode())

    def add_table(self, name: str, headers: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Put a table into it, as CSV that spreadsheets read as UTF-8 and never as formulas."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\r\n")
        writer.writerow(headers)
        writer.writerows([_cell(value) for value in row] for row in rows)
        self.add(name, b"\xef\xbb\xbf" + text.getvalue().encode())

    def finish(self) -> str:
        """Write SHA256SUMS; return its own digest, which stands for every file of the pack."""
        lines = "".join(f"{digest}  {name}\n" for name, digest in sorted(self._sums.items()))
        self._zip.writestr(f"{self._folder}/{SUMS_FILE}", lines)
        return hashlib.sha256(lines.encode()).hexdigest()


def _cell(value: object) -> str:
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(_FORMULA) and not isinstance(value, int | float) else text
