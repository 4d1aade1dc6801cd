"""The tables of an index of the ledger (fleet/ledger_index.py): SQLite in one file, filled in order."""

from __future__ import annotations

import datetime
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fleet.entry_about import about
from fleet.errors import ActError
from fleet.ledger_links import Checked, Link, row_of
from fleet.ledger_reading import Entry

FORM = 2
"""Of the tables; a file of another one is filled anew."""
_TEXTS = ("event", "target", "outcome", "environment", "run", "person", "name", "instance")
COLUMNS = ("sequence", "at", *_TEXTS, "hash")
_WAIT_S = 60.0
"""How long another process may take to add some entries."""
_TABLES = f"""
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS entries (
    sequence INTEGER PRIMARY KEY, at REAL NOT NULL, event TEXT NOT NULL, target TEXT NOT NULL,
    outcome TEXT NOT NULL, environment TEXT NOT NULL, run TEXT NOT NULL, person TEXT NOT NULL,
    name TEXT NOT NULL, instance TEXT NOT NULL, hash TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS by_at ON entries (at);
CREATE INDEX IF NOT EXISTS by_event ON entries (event);
CREATE INDEX IF NOT EXISTS by_target ON entries (target);
CREATE INDEX IF NOT EXISTS by_person ON entries (person);
CREATE INDEX IF NOT EXISTS by_environment ON entries (environment) WHERE environment != '';
CREATE INDEX IF NOT EXISTS by_run ON entries (run) WHERE run != '';
CREATE INDEX IF NOT EXISTS by_name ON entries (name) WHERE name != '';
CREATE TABLE IF NOT EXISTS machines (
    instance TEXT NOT NULL, sequence INTEGER NOT NULL, PRIMARY KEY (instance, sequence)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS state (
    one INTEGER PRIMARY KEY, sequence INTEGER NOT NULL, head TEXT NOT NULL, entries INTEGER NOT NULL,
    machines INTEGER NOT NULL
);
PRAGMA user_version = {FORM};
COMMIT;
"""
"""Each index ends in the number, the row's id, so what is found by one comes in the order of the chain.

An entry's `instance` has all machines that it names, with a space between; `machines` finds them.
"""


class DamagedError(Exception):
    """The index says what the ledger does not."""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Which entries; "" and None exclude none."""

    environment: str = ""
    instance: str = ""
    run: str = ""
    person: str = ""
    """By id, by the name that the cloud vouches for, by the caller's ARN, or by the name in the console."""
    target: str = ""
    event: str = ""
    """A kind, `run.submit`, or the beginning of some, `run.`."""
    outcome: str = ""
    since: datetime.datetime | None = None
    until: datetime.datetime | None = None

    def conditions(self) -> Iterator[tuple[str, list[object]]]:
        """Yield each condition as SQL with its parameters; the names are ours, the values are bound."""
        for column in ("environment", "run"):
            if value := getattr(self, column):
                yield f"({column} = ? AND {column} != '')", [value]
        if self.instance:
            yield "sequence IN (SELECT sequence FROM machines WHERE instance = ?)", [self.instance]
        for column in ("target", "outcome"):
            if value := getattr(self, column):
                yield f"{column} = ?", [value]
        if self.person:
            yield "(person = ? OR (name = ? AND name != ''))", [self.person, self.person]
        if self.event.endswith("."):
            yield "(event >= ? AND event < ?)", [self.event, self.event[:-1] + "/"]  # the sign after the dot
        elif self.event:
            yield "event = ?", [self.event]
        if self.since:
            yield "at >= ?", [self.since.timestamp()]
        if self.until:
            yield "at < ?", [self.until.timestamp()]


class Tables:
    """The index's tables (`fleet.ledger_filling.IndexStore`)."""

    def __init__(self, database: sqlite3.Connection) -> None:
        """Take an open database, as `opened` gives it."""
        self._database = database

    def end(self) -> Link:
        """Return the last entry that it has, number 0 for none."""
        row = self._database.execute("SELECT sequence, head FROM state").fetchone()
        return Link(*row) if row else Link(0, "")

    def clear(self) -> None:
        """Throw all entries away."""
        with self._writing():
            self._database.execute("DELETE FROM entries")
            self._database.execute("DELETE FROM machines")
            self._database.execute("DELETE FROM state")

    def add(self, before: Link, found: Checked) -> None:
        """Add what follows on `before`; nothing where another process has gone on from there."""
        with self._writing():
            if self.end() != before:
                return
            known: dict[str, str] = {}
            rows = [kept_of(entry, known, self._environment_of_run) for entry in found.entries]
            marks = ", ".join(f":{name}" for name in COLUMNS)
            statement = f"INSERT INTO entries ({', '.join(COLUMNS)}) VALUES ({marks})"  # noqa: S608 - ours
            self._database.executemany(statement, rows)
            named = [(each, row["sequence"]) for row in rows for each in row["instance"].split()]
            self._database.executemany("INSERT INTO machines (instance, sequence) VALUES (?, ?)", named)
            entries, machines = self._put_in()
            self._database.execute(
                "INSERT OR REPLACE INTO state VALUES (1, ?, ?, ?, ?)",
                (found.end.sequence, found.end.digest, entries + len(rows), machines + len(named)),
            )

    def require_whole(self) -> None:
        """Raise DamagedError where it does not have as many entries and machines as were put into it."""
        counted = "SELECT (SELECT count(*) FROM entries), (SELECT count(*) FROM machines)"
        there = tuple(self._database.execute(counted).fetchone())
        if there != self._put_in():
            raise DamagedError(
                f"it has {there} entries and machines, of {self._put_in()} that were put into it"
            )

    def rows(self, wanted: Wanted, last: int | None) -> list[sqlite3.Row]:
        """Return the rows that fit, in order, or the last ones of them; raises DamagedError for a misfit."""
        conditions = list(wanted.conditions())
        where = " AND ".join(text for text, _ in conditions) or "1"
        statement = f"SELECT * FROM entries WHERE {where} ORDER BY sequence DESC LIMIT ?"  # noqa: S608 - ours
        values = [value for _, each in conditions for value in each]
        found = self._database.execute(statement, (*values, -1 if last is None else last)).fetchall()
        if any(wanted.instance not in ("", *row["instance"].split()) for row in found):
            raise DamagedError("an entry is found by a machine that it does not name")
        return found[::-1]

    def _put_in(self) -> tuple[int, int]:
        """Return how many entries, and machines of entries, were put into it."""
        row = self._database.execute("SELECT entries, machines FROM state").fetchone()
        return (int(row[0]), int(row[1])) if row else (0, 0)

    def _environment_of_run(self, run: str) -> str:
        found = self._database.execute(
            "SELECT environment FROM entries WHERE run = ? AND run != '' ORDER BY sequence LIMIT 1", (run,)
        ).fetchone()
        return str(found[0]) if found else ""

    @contextmanager
    def _writing(self) -> Iterator[None]:
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._database.execute("ROLLBACK")
            raise
        self._database.execute("COMMIT")


@contextmanager
def opened(file: Path) -> Iterator[sqlite3.Connection]:
    """Open the file, with its tables; raises ActError where there can be none, DamagedError for a newer."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise ActError(f"the index of the ledger can't be kept in {file.parent} ({error})") from error
    database = sqlite3.connect(file, timeout=_WAIT_S, isolation_level=None)
    try:
        database.row_factory = sqlite3.Row
        database.execute("PRAGMA synchronous = NORMAL")  # what a crash takes away is filled again
        form = database.execute("PRAGMA user_version").fetchone()[0]
        if form not in (0, FORM):
            raise DamagedError(f"it is of form {form}, not {FORM}")
        if not form:
            database.executescript(_TABLES)
        yield database
    finally:
        database.close()


def kept_of(entry: Entry, known: dict[str, str], environment_of_run: Callable[[str], str]) -> dict[str, Any]:
    """Return what is kept of an entry, by column; `known` learns the environments of runs."""
    row = row_of(entry, known, lambda run: known.get(run) or environment_of_run(run))
    machines = " ".join(about(entry).instances)
    return {
        **row,
        "at": row["at"].timestamp(),
        "name": _name(entry),
        "instance": machines,
        "hash": Link.of(entry).digest,
    }


def _name(entry: Entry) -> str:
    """Return the name of who asked for it in the console, "" where nobody did."""
    actor = entry.get("actor")
    asked = actor.get("asked_by") if isinstance(actor, Mapping) else None
    return str(asked.get("name") or "")[:200] if isinstance(asked, Mapping) else ""
