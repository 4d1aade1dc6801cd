"""The last entries about one environment, for its page: from the index, brought up to date first."""

from __future__ import annotations

from collections.abc import Sequence

from console.records.index import RecordIndex
from console.store import entry_rows
from console.store.database import Database
from console.store.entry_rows import Where
from console.store.record_tables import EntryRow

_LOOKED_AT = 200


def latest(
    database: Database,
    index: RecordIndex,
    environment: str,
    *,
    events: Sequence[str] = ("environment.", "lease."),
    limit: int = 10,
) -> list[EntryRow]:
    """Return the newest entries about the environment whose event begins so; among the last few hundred."""
    index.look()
    with database.reading() as session:
        found = entry_rows.page(session, Where(environment=environment), limit=_LOOKED_AT)
    return [row for row in found.rows if row.event.startswith(tuple(events))][:limit]
