"""Whether entries follow on each other as a chain, and what an index of the ledger keeps of each."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from fleet import chain
from fleet.entry_about import about
from fleet.ledger_reading import Entry

_UNKNOWN_TIME = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


@dataclass(frozen=True)
class Link:
    """An entry's number, and its hash as its content gives it; "" where that can't be known."""

    sequence: int
    digest: str

    @classmethod
    def of(cls, entry: Entry) -> Self:
        """Return the link that an entry is."""
        return cls(entry["sequence"], chain.entry_hash(entry))


@dataclass
class Checked:
    """Entries that were checked in order."""

    end: Link
    entries: list[Entry] = field(default_factory=list)
    faults: list[tuple[int, str]] = field(default_factory=list)
    breaks_at_once: bool = False
    """Whether already the first one is not linked to what came before."""


def check_links(entries: Sequence[Entry], before: Link, limit: int, last: int) -> Checked:
    """Check up to `limit` entries that follow on `before`, of a chain that ends with number `last`."""
    by_number = {entry["sequence"]: entry for entry in entries}
    found, previous = Checked(before), before.digest or ("" if before.sequence else chain.GENESIS)
    for number in range(before.sequence + 1, min(before.sequence + limit, last) + 1):
        entry = by_number.get(number)
        if entry is None:
            found.faults.append((number, "missing"))
            previous = ""
            found.end = Link(number, "")
            continue
        digest = chain.entry_hash(entry)
        if digest != entry.get("hash"):
            found.faults.append((number, "changed"))
        elif previous and entry.get("prev_hash") != previous:
            found.faults.append((number, "not linked"))
            found.breaks_at_once = found.breaks_at_once or number == before.sequence + 1
        found.entries.append(entry)
        found.end, previous = Link(number, digest), digest
    return found


def row_of(entry: Entry, known: dict[str, str], environment_of_run: Callable[[str], str]) -> dict[str, Any]:
    """Return what the index keeps of an entry; `known` learns the environments of runs."""
    found = about(entry, environment_of_run)
    if found.run and found.environment:
        known[found.run] = found.environment
    return {
        "sequence": entry["sequence"],
        "at": _moment(entry.get("time")),
        "event": str(entry.get("event"))[:64],
        "target": str(entry.get("target"))[:200],
        "outcome": str(entry.get("outcome"))[:16],
        "environment": found.environment[:40],
        "run": found.run[:100],
        "person": found.person[:200],
        "instance": found.instance[:32],
    }


def _moment(text: object) -> datetime.datetime:
    try:
        moment = datetime.datetime.fromisoformat(str(text))
    except ValueError:
        return _UNKNOWN_TIME
    return moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)
