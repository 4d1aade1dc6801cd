"""Counts and names what is broken in the user's data; leaves it out up to a limit, then refuses."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from trainer.data.errors import DatasetError
from trainer.files.durable import write_durably

FILE = "quarantine.jsonl"
SHOWN = 10
"""Broken things that a refusal names."""
MOST_NAMED = 10_000
"""Broken things that are kept by name; of the rest it is known how many there are."""


@dataclass(frozen=True)
class Broken:
    """One thing that is left out."""

    file: str
    row: int | None
    """Line or row of the file, counted from 1; None where it is all of the file."""
    what: str

    def __str__(self) -> str:
        place = self.file if self.row is None else f"{self.file}, row {self.row}"
        return f"{place}: {self.what}"


class Quarantine:
    """The broken rows or files of one data set."""

    def __init__(self, max_bad_share: float, things: str = "rows") -> None:
        """Allow that share of all `things`."""
        self._max_bad_share = max_bad_share
        self._things = things
        self._named: list[Broken] = []
        self._count = 0
        self._seen: dict[str, bytearray] = {}
        """A bit for each row of a file, bit 0 for the file itself: rows are read twice and count once."""
        self._read: dict[str, tuple[int, int]] = {}
        """Bytes and rows of the files that were read to their end."""
        self._lost: dict[str, int] = {}
        """Bytes of the files of which nobody knows how many rows they have."""

    def __len__(self) -> int:
        """Return how much is broken; a lost file has as many rows as the others have in as many bytes."""
        size, rows = (sum(each) for each in zip(*self._read.values(), strict=True)) if self._read else (0, 0)
        rate = rows / size if size else 0.0
        return self._count + sum(max(round(lost * rate), 1) for lost in self._lost.values())

    def __iter__(self) -> Iterator[Broken]:
        return iter(self._named)

    def add(self, file: str, row: int | None, what: str, count: int = 1) -> None:
        """Note something broken, `count` rows of it; of one row or file, what was noted first counts."""
        if self.has(file, row):
            return
        byte, bit = divmod(row or 0, 8)
        bits = self._seen.setdefault(file, bytearray())
        bits.extend(bytes(max(byte + 1 - len(bits), 0)))
        bits[byte] |= 1 << bit
        self._count += count
        if len(self._named) < MOST_NAMED:
            self._named.append(Broken(file, row, what))

    def lose(self, file: str, what: str, size: int) -> None:
        """Note a file of `size` bytes that cannot be read, whose rows nobody knows."""
        if not self.has(file, None):
            self.add(file, None, what, count=0)
            self._lost[file] = size

    def read(self, file: str, size: int, rows: int) -> None:
        """Note how many rows a file of `size` bytes has that was read to its end."""
        self._read[file] = size, rows

    def has(self, file: str, row: int | None) -> bool:
        """Return whether that row or file is broken."""
        byte, bit = divmod(row or 0, 8)
        bits = self._seen.get(file, b"")
        return byte < len(bits) and bool(bits[byte] >> bit & 1)

    def note(self) -> dict[str, Any]:
        """Return what was found as JSON knows it, for `take` of another."""
        named = [(each.file, each.row, each.what) for each in self._named]
        return {"named": named, "count": self._count, "read": self._read, "lost": self._lost}

    def take(self, note: dict[str, Any]) -> None:
        """Add what another one found in files of its own."""
        for file, row, what in note["named"]:
            self.add(file, row, what, count=0)
        self._count += note["count"]
        self._read |= {file: (size, rows) for file, (size, rows) in note["read"].items()}
        self._lost |= note["lost"]

    def write(self, folder: Path) -> None:
        """Write quarantine.jsonl into the folder; where nothing is broken there is none."""
        path = folder / FILE
        if self._named:
            write_durably(path, "".join(json.dumps(asdict(each)) + "\n" for each in self))
        else:
            path.unlink(missing_ok=True)

    def check(self, good: int) -> None:
        """Raise DatasetError where too much is broken beside `good` things, or nothing is good."""
        bad = len(self)
        if good and bad <= self._max_bad_share * (good + bad):
            return
        if not good and len(self._named) == 1:
            raise DatasetError(str(self._named[0]))
        first = "".join(f"\n  {each}" for each in self._named[:SHOWN])
        rest = f"\n  and {bad - SHOWN} more" if bad > SHOWN and len(self._named) > SHOWN else ""
        if not good and not bad:
            raise DatasetError(f"there are no {self._things} in the data")
        limit = f"data.max_bad_share = {self._max_bad_share:g} allows fewer: mend them, or raise it"
        raise DatasetError(f"{bad} of {good + bad} {self._things} are broken ({limit}):{first}{rest}")


def read_quarantine(folder: Path, most: int) -> list[dict[str, Any]]:
    """Return the first of what a folder's quarantine.jsonl names; nothing where there is none."""
    try:
        with (folder / FILE).open(encoding="utf-8") as file:
            return [json.loads(line) for line in itertools.islice(file, most)]
    except FileNotFoundError:
        return []
