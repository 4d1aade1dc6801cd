"""The entries that wait for a ledger, oldest first."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import delete, select

from console.store.database import Session
from console.store.work_tables import WaitingEntryRow


def all_waiting(database: Session) -> Sequence[WaitingEntryRow]:
    """Return what waits."""
    return database.scalars(select(WaitingEntryRow).order_by(WaitingEntryRow.id)).all()


def oldest(database: Session) -> WaitingEntryRow | None:
    """Return what waits longest, None where nothing does."""
    return database.scalars(select(WaitingEntryRow).order_by(WaitingEntryRow.id).limit(1)).first()


def forget(database: Session, entry: WaitingEntryRow) -> None:
    """Take out an entry that the ledger has now."""
    database.execute(delete(WaitingEntryRow).where(WaitingEntryRow.id == entry.id))
