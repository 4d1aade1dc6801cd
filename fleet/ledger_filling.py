"""Filling an index of the ledger in the order of the chain, each entry verified as it comes.

An index finds entries and is never trusted over the chain. Each use begins with a look whether it still
belongs to it, and an index of another chain is thrown away and filled anew. The console keeps one in its
database (console/records/index.py), the command one in a file (fleet/ledger_index.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from fleet.ledger_links import Checked, Link, check_links
from fleet.ledger_reading import Entry

_BATCH = 500


class Chain(Protocol):
    """What is read of the ledger (fleet/ledger_reading.py)."""

    def entries_from(self, sequence: int, limit: int) -> list[Entry]:
        """Return up to `limit` entries from that number on, in order."""


class IndexStore(Protocol):
    """Where an index is kept."""

    def end(self) -> Link:
        """Return the last entry that it has, number 0 for none."""

    def add(self, before: Link, found: Checked) -> None:
        """Add what follows on `before`; nothing where somebody else has gone on from there."""

    def clear(self) -> None:
        """Throw the index away."""


class Filler:
    """Fills one index."""

    def __init__(self, store: IndexStore) -> None:
        """Prepare; whether the index belongs to the chain is not known yet."""
        self._store = store
        self._proven = False

    def forget(self) -> None:
        """Look anew whether the index belongs to the chain: the ledger may be another one by now."""
        self._proven = False

    def fill(
        self, ledger: Chain, last: int, tell: Callable[[int, int], None] = lambda done, total: None
    ) -> None:
        """Bring the index up to the ledger's entry number `last`; `tell` hears how far it is."""
        self._require_same_chain(ledger, last)
        while (end := self._store.end()).sequence < last:
            entries = ledger.entries_from(end.sequence + 1, _BATCH)
            found = check_links(entries, end, _BATCH, last)
            if found.breaks_at_once and not self._is_its_last(ledger, end):
                self._store.clear()
                continue
            self._store.add(end, found)
            tell(found.end.sequence, last)

    def _require_same_chain(self, ledger: Chain, last: int) -> None:
        """Throw the index away where it is not of this chain; asked once, and where the chain is shorter."""
        end = self._store.end()
        if end.sequence > last or (not self._proven and not self._is_its_last(ledger, end)):
            self._store.clear()
        self._proven = True

    def _is_its_last(self, ledger: Chain, end: Link) -> bool:
        """Return whether the ledger has the index's last entry as the index knows it."""
        if not end.sequence or not end.digest:
            return True
        found = ledger.entries_from(end.sequence, 1)
        return bool(found) and Link.of(found[0]).digest == end.digest
