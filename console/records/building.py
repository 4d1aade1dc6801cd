"""When an environment was built and torn down, by the console's own index: for what it came to."""

from __future__ import annotations

from console.records.index import RecordIndex
from console.store import entry_rows
from console.store.database import Database
from console.store.entry_rows import Where
from fleet.at_once import each_at_once
from fleet.costs.read import HISTORY, History, without_history

_AT_ONCE = 200


def building(database: Database, index: RecordIndex, environment: str) -> History:
    """Return the entries of its building and teardown, in order, as the ledger has them.

    A page does not wait until an index that is being filled is whole: it says that something is missing.
    """
    reach, found = index.look(), list[int]()
    before: int | None = None
    with database.reading() as session:
        while True:
            page = entry_rows.page(session, Where(targets=(environment,)), before=before, limit=_AT_ONCE)
            found += [row.sequence for row in page.rows if row.event.startswith(HISTORY)]
            before = page.older
            if before is None:
                break
    entries = [entry for entry in each_at_once(index.entry, found[::-1]) if entry is not None]
    if len(entries) == len(found) and reach.whole:
        return entries, ()
    why = (
        f"the ledger could not be read ({reach.trouble})"
        if reach.trouble
        else "the ledger is still being read"
    )
    return entries, (without_history(why),)
