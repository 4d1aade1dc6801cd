"""Puts away what acts told that ended long ago; how they ended stays in the database, and is on record."""

from __future__ import annotations

import datetime
import hashlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from console.acts import watch
from console.acts.watch import ActStatus, Place
from console.services import Services
from console.store.columns import utc_now

EVENT = "acts.prune"
AT_A_TIME = 50
"""So many are in one entry of the record."""
_OURS = {"via": "console"}
"""Who does it: nobody asked."""


@dataclass(frozen=True)
class _Old:
    """A folder whose time is over."""

    path: Path
    status: ActStatus | None
    """None where no row knows of it: it was made, and the console was killed before it said so."""

    def about(self) -> dict[str, Any]:
        """Return what the record is told of it."""
        told = self.path / "progress.jsonl"
        digest = hashlib.sha256(told.read_bytes()).hexdigest() if told.is_file() else ""
        found = self.status
        if found is None:
            return {"act": self.path.name, "told_sha256": digest}
        ended = found.ended_at.isoformat() if found.ended_at else ""
        return {
            "act": found.id, "command": found.command, "state": found.state, "ended": ended,
            "told_sha256": digest,
        }  # fmt: skip


def prune(services: Services) -> None:
    """Delete the folders of acts that ended before `keep_acts`, once the ledger has what each of them was.

    Raises LedgerError or UserError where that can't be put on record: then they stay.
    """
    place = Place(services.settings, services.database)
    old = _old(place, utc_now() - services.settings.keep_acts)
    while some := list(islice(old, AT_A_TIME)):
        details = {"acts": [each.about() for each in some]}
        services.recorder.record(_OURS, EVENT, "console", "recorded", details)
        for each in some:
            shutil.rmtree(each.path)


def _old(place: Place, before: datetime.datetime) -> Iterator[_Old]:
    """Yield what ended before that moment; of what no row knows, what was made before it."""
    folders = sorted(each for each in place.acts.glob("*") if each.is_dir())
    for path in folders:
        status = watch.status(place, path.name)
        if status is None:
            made = datetime.datetime.fromtimestamp(path.stat().st_mtime, datetime.UTC)
            if made < before and place.folder(path.name).state() != "working":
                yield _Old(path, None)
        elif not status.under_way and (status.ended_at or status.created_at) < before:
            yield _Old(path, status)
