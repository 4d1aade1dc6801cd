"""An index of the ledger in one file of this machine, by which the few entries of a question are found.

It is filled from the chain (fleet/ledger_filling.py), and never trusted over it: it says numbers and hashes,
and what is answered are the ledger's own entries of these, held against both. Where it is damaged, or says
another thing than the ledger, it is thrown away and filled anew; that reads the whole ledger once.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from fleet.errors import ActError
from fleet.ledger_filling import Filler
from fleet.ledger_reading import Entry
from fleet.ledger_tables import COLUMNS, DamagedError, Tables, Wanted, kept_of, opened
from fleet.project import Project

_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
_WRONG = (sqlite3.DatabaseError, DamagedError)
Tell = Callable[[int, int], None]


class IndexedLedger(Protocol):
    """What is read of the ledger (fleet/ledger_reading.py)."""

    def tail(self) -> tuple[int, str]:
        """Return the last entry's number and hash."""

    def entries_from(self, sequence: int, limit: int) -> list[Entry]:
        """Return up to `limit` entries from that number on, in order."""

    def entries_of(self, digests: Mapping[int, str]) -> dict[int, Entry]:
        """Return the entries of these numbers."""


def index_file(project: Project, cloud: str, bucket: str) -> Path:
    """Return where the index of a ledger is kept."""
    return project.home / "ledger" / cloud / f"{bucket}.sqlite3"


class LedgerIndex:
    """The index of one ledger in one file."""

    def __init__(self, file: Path, ledger: IndexedLedger) -> None:
        """Take the file, which is made when it is needed first."""
        self.file, self._ledger = file, ledger

    def find(
        self, wanted: Wanted, last: int | None = None, tell: Tell = lambda done, total: None
    ) -> list[Entry]:
        """Return the entries that fit, in order, or the `last` ones of them, as the ledger has them.

        `tell` hears how far the index is while it is brought up to date. Raises ActError where it can't be
        kept on this machine, LedgerError where the ledger can't be read.
        """
        try:
            return self._find(wanted, last, tell)
        except _WRONG as error:
            if getattr(error, "sqlite_errorcode", None) in _BUSY:
                raise ActError(f"the index of the ledger in {self.file} is in use ({error})") from error
        try:
            self.remove()
            return self._find(wanted, last, tell)
        except (*_WRONG, OSError) as error:
            raise ActError(f"the index of the ledger can't be kept in {self.file} ({error})") from error

    def remove(self) -> None:
        """Throw the index away."""
        for ending in ("", "-journal"):
            self.file.with_name(self.file.name + ending).unlink(missing_ok=True)

    def _find(self, wanted: Wanted, last: int | None, tell: Tell) -> list[Entry]:
        with opened(self.file) as database:
            tables = Tables(database)
            Filler(tables).fill(self._ledger, self._ledger.tail()[0], tell)
            tables.require_whole()
            rows = tables.rows(wanted, last)
        found = self._ledger.entries_of({row["sequence"]: row["hash"] for row in rows})
        for row in rows:
            if not _is_of(row, found.get(row["sequence"])):
                raise DamagedError(f"entry {row['sequence']} is another one in the ledger")
        return [found[row["sequence"]] for row in rows]


def _is_of(row: sqlite3.Row, entry: Entry | None) -> bool:
    """Return whether the row is what would be kept of the ledger's entry."""
    if entry is None:
        return False
    environment = str(row["environment"])
    kept = kept_of(entry, {}, lambda run: environment)
    return all(row[name] == kept[name] for name in COLUMNS)
