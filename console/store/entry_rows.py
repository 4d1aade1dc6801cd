"""The index of the ledger: filled in order, and read a page at a time, by indexed columns alone."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, delete, insert, select

from console.store.columns import utc_now
from console.store.database import Database, Session
from console.store.record_tables import EntryRow, IndexStateRow

STATE, _FAULT = "ledger", "fault "
_WINDOW, _WINDOWS = 20_000, 5
"""How many numbers are looked through at a time, and how often for one page, where several filters meet."""
MOST_FAULTS = 50


@dataclass(frozen=True)
class State:
    """How far the index has come."""

    sequence: int = 0
    head: str = ""
    """Hash of that entry as it was computed; "" where it can't be known."""


@dataclass(frozen=True, kw_only=True)
class Where:
    """Which entries; what is "" or empty excludes none."""

    environment: str = ""
    people: tuple[str, ...] = ()
    """Any of these."""
    event: str = ""
    outcome: str = ""
    targets: tuple[str, ...] = ()
    """Any of these."""
    since: datetime.datetime | None = None
    until: datetime.datetime | None = None
    """Before it."""

    def parts(self) -> list[list[ColumnElement[bool]]]:
        """Return the conditions, each as alternatives by one indexed column."""
        named = (
            (EntryRow.environment, self.environment),
            (EntryRow.event, self.event),
            (EntryRow.outcome, self.outcome),
        )
        parts: list[list[ColumnElement[bool]]] = [[column == value] for column, value in named if value]
        for column, values in ((EntryRow.person, self.people), (EntryRow.target, self.targets)):
            if values:
                parts.append([column == value for value in dict.fromkeys(values)])
        return parts


@dataclass(frozen=True)
class EntryPage:
    """Some entries, newest first."""

    rows: tuple[EntryRow, ...]
    older: int | None
    """The number below which the next page goes on, None where there is nothing older."""
    looked_to: int
    """The lowest number that was looked at."""


def page(database: Session, where: Where, *, before: int | None = None, limit: int = 50) -> EntryPage:
    """Return a page of what is asked for, below the number `before`.

    With one condition it comes straight from that column's index. Where several meet, at most a bounded
    stretch of numbers is looked through: a page may be short, and says how far it has looked.
    """
    lowest = first_since(database, where.since) if where.since else 1
    top = before if before is not None else read_state(database).sequence + 1
    if where.until:
        top = min(top, first_since(database, where.until))
    parts = where.parts()
    if len(parts) <= 1:
        rows = _newest(database, parts[0] if parts else [], lowest, top, [], limit + 1)
        more = len(rows) > limit
        return EntryPage(tuple(rows[:limit]), rows[limit - 1].sequence if more else None, lowest)
    found: list[EntryRow] = []
    for _ in range(_WINDOWS):
        low = max(lowest, top - _WINDOW)
        others = parts[1:]
        found += _newest(database, parts[0], low, top, others, limit + 1 - len(found))
        top = low
        if len(found) > limit or low <= lowest:
            break
    if len(found) > limit:
        return EntryPage(tuple(found[:limit]), found[limit - 1].sequence, found[limit - 1].sequence)
    return EntryPage(tuple(found), top if top > lowest else None, top)


def _newest(
    database: Session,
    alternatives: Sequence[ColumnElement[bool]],
    lowest: int,
    top: int,
    others: Sequence[Sequence[ColumnElement[bool]]],
    limit: int,
) -> list[EntryRow]:
    """Return the newest that fit: one query for each alternative, so that each goes by its index in order."""
    rows: dict[int, EntryRow] = {}
    ways: Sequence[ColumnElement[bool] | None] = alternatives or [None]
    for each in ways:
        query = select(EntryRow).where(EntryRow.sequence >= lowest, EntryRow.sequence < top)
        if each is not None:
            query = query.where(each)
        for conditions in others:
            query = query.where(_any(conditions))
        found = database.scalars(query.order_by(EntryRow.sequence.desc()).limit(limit))
        rows |= {row.sequence: row for row in found}
    return sorted(rows.values(), key=lambda row: -row.sequence)[:limit]


def _any(conditions: Sequence[ColumnElement[bool]]) -> ColumnElement[bool]:
    whole = conditions[0]
    for each in conditions[1:]:
        whole |= each
    return whole


def get_row(database: Session, sequence: int) -> EntryRow | None:
    """Return what the index has of an entry."""
    return database.get(EntryRow, sequence)


def first_since(database: Session, moment: datetime.datetime) -> int:
    """Return the number of the first entry that was written at that time or later, found by halving."""
    low, high = 1, read_state(database).sequence + 1
    while low < high:
        middle = (low + high) // 2
        row = database.execute(
            select(EntryRow.at).where(EntryRow.sequence >= middle).order_by(EntryRow.sequence).limit(1)
        ).first()
        if row is None or row[0] >= moment:
            high = middle
        else:
            low = middle + 1
    return low


def environment_of_run(database: Session, run: str) -> str:
    """Return the environment that a run was submitted to, "" where the index does not know."""
    found = select(EntryRow.environment).where(EntryRow.run == run).order_by(EntryRow.sequence).limit(1)
    return database.scalar(found) or ""


# ------------------------------------------------------------------------------ filling it


def read_state(database: Session) -> State:
    """Return how far the index has come."""
    row = database.get(IndexStateRow, STATE)
    return State(row.sequence, row.head) if row else State()


def append(database: Database, before: State, rows: Sequence[dict[str, object]], state: State) -> bool:
    """Add the rows that follow on `before`; return False where somebody else has gone on from there."""
    with database.writing() as session:
        if read_state(session) != before:
            return False
        if rows:
            session.execute(insert(EntryRow), list(rows))
        row = session.get(IndexStateRow, STATE) or IndexStateRow(name=STATE)
        row.sequence, row.head, row.verified_at = state.sequence, state.head, utc_now()
        session.add(row)
    return True


def clear(database: Database) -> None:
    """Throw the index away."""
    with database.writing() as session:
        session.execute(delete(EntryRow))
        session.execute(delete(IndexStateRow))


def note_faults(database: Database, faults: Iterable[tuple[int, str]]) -> None:
    """Keep what does not fit in the chain: the number, and what is wrong there."""
    with database.writing() as session:
        for sequence, what in faults:
            name = f"{_FAULT}{sequence:012d}"
            session.merge(IndexStateRow(name=name, sequence=sequence, head=what[:100], verified_at=utc_now()))


def faults(database: Session) -> list[tuple[int, str]]:
    """Return what does not fit, the first ones."""
    found = select(IndexStateRow).where(IndexStateRow.name.startswith(_FAULT))
    rows = database.scalars(found.order_by(IndexStateRow.sequence).limit(MOST_FAULTS))
    return [(row.sequence, row.head) for row in rows]
