"""When the whole record was verified last, how far, by whom, and what was found."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from console.records.index import RecordIndex
from console.store import entry_rows
from console.store.database import Database
from console.store.entry_rows import Where
from fleet import verification
from fleet.ledger_reading import Entry

OVERDUE = datetime.timedelta(days=1)
"""After so long somebody should verify it again."""


@dataclass(frozen=True)
class Verified:
    """One verification, as its entry has it."""

    entry: Entry

    @property
    def at(self) -> datetime.datetime:
        """When it was."""
        return datetime.datetime.fromisoformat(self.entry["time"])

    @property
    def details(self) -> Mapping[str, Any]:
        """What was found (fleet/verification.py)."""
        found: Mapping[str, Any] = self.entry["details"]
        return found

    @property
    def number(self) -> int:
        """How far it reached."""
        return int(str(self.details.get("head", "0")).partition(":")[0] or 0)

    @property
    def sound(self) -> bool:
        """Whether nothing was found."""
        return self.details.get("sound") is True

    @property
    def by(self) -> str:
        """Who did it, as their name or their ARN."""
        actor: Mapping[str, Any] = self.entry["actor"]
        asked: Mapping[str, Any] = actor.get("asked_by") or {}
        return str(asked.get("name") or actor.get("person") or actor.get("identity") or "")


def last_verified(database: Database, index: RecordIndex) -> Verified | None:
    """Return the last one, None where there was none yet, or it can't be read now."""
    with database.reading() as session:
        found = entry_rows.page(session, Where(event=verification.EVENT), limit=1).rows
    entry = index.entry(found[0].sequence) if found else None
    return Verified(entry) if entry else None
