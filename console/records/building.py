"""When an environment was built and torn down, by the console's own index: for what it came to."""

from __future__ import annotations

from console.records.index import RecordIndex
from console.store import entry_rows
from console.store.database import Database
from console.store.entry_rows import Where
from fleet.at_once import each_at_once
from fleet.costs.read import HISTORY, History, without_history
from fleet.costs.runs_gone import RUNS
from fleet.ledger_reading import Entry

_AT_ONCE = 200


def building(database: Database, index: RecordIndex, environment: str) -> History:
    """Return the entries of its building and teardown, in order, as the ledger has them.

    A page does not wait until an index that is being filled is whole: it says that something is missing.
    """
    reach = index.look()
    found = _numbers(database, Where(targets=(environment,)), HISTORY)
    entries = [entry for entry in each_at_once(index.entry, found) if entry is not None]
    if len(entries) == len(found) and reach.whole:
        return entries, ()
    why = (
        f"the ledger could not be read ({reach.trouble})"
        if reach.trouble
        else "the ledger is still being read"
    )
    return entries, (without_history(why),)


def runs_on_record(database: Database, index: RecordIndex, environment: str) -> list[Entry]:
    """Return the entries on the environment's runs, in order, as far as the index has come."""
    found = _numbers(database, Where(environment=environment), RUNS)
    return [entry for entry in each_at_once(index.entry, found) if entry is not None]


def _numbers(database: Database, where: Where, events: str) -> list[int]:
    """Return the numbers of the entries whose events begin so, in order."""
    found, before = list[int](), None
    with database.reading() as session:
        while True:
            page = entry_rows.page(session, where, before=before, limit=_AT_ONCE)
            found += [row.sequence for row in page.rows if row.event.startswith(events)]
            before = page.older
            if before is None:
                return found[::-1]
