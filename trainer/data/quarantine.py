"""Counts and names what is broken in the user's data; leaves it out up to a limit, then refuses."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from trainer.data.errors import DatasetError
from trainer.durable import write_durably

FILE = "quarantine.jsonl"
SHOWN = 10
"""Broken things that a refusal names."""


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
        self._broken: dict[tuple[str, int | None], Broken] = {}

    def __len__(self) -> int:
        return len(self._broken)

    def __iter__(self) -> Iterator[Broken]:
        return iter(self._broken.values())

    def add(self, file: str, row: int | None, what: str) -> None:
        """Note something broken; of one row or file, what was noted first counts."""
        self._broken.setdefault((file, row), Broken(file, row, what))

    def has(self, file: str, row: int | None) -> bool:
        """Return whether that row or file is broken."""
        return (file, row) in self._broken

    def write(self, folder: Path) -> None:
        """Write quarantine.jsonl into the folder; where nothing is broken there is none."""
        path = folder / FILE
        if self._broken:
            write_durably(path, "".join(json.dumps(asdict(each)) + "\n" for each in self))
        else:
            path.unlink(missing_ok=True)

    def check(self, good: int) -> None:
        """Raise DatasetError where too much is broken beside `good` things, or nothing is good."""
        bad = len(self._broken)
        if good and bad <= self._max_bad_share * (good + bad):
            return
        first = "".join(f"\n  {each}" for each in list(self)[:SHOWN])
        rest = f"\n  and {bad - SHOWN} more" if bad > SHOWN else ""
        if not good and not bad:
            raise DatasetError(f"there are no {self._things} in the data")
        limit = f"data.max_bad_share = {self._max_bad_share:g} allows fewer: mend them, or raise it"
        raise DatasetError(f"{bad} of {good + bad} {self._things} are broken ({limit}):{first}{rest}")
