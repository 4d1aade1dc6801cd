"""How acts stand: each look asks the act's folder, and notes an end in its row."""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from console.acts.folder import ActFolder
from console.acts.spec import Act, read_act
from console.settings import Settings
from console.store import act_rows
from console.store.database import Database
from console.store.work_tables import ActRow
from fleet.policy import Verb
from fleet.terraform_events import ProgressEvent

_CURSOR = re.compile(r"p[0-9]{1,15}")
"""How many bytes of what it told somebody has."""


@dataclass(frozen=True)
class Place:
    """Where a console keeps its acts."""

    settings: Settings
    database: Database

    @property
    def acts(self) -> Path:
        """The folder in which each act has its own."""
        return self.settings.data / "acts"

    def folder(self, act_id: str) -> ActFolder:
        """Return an act's folder, whether it is there or not."""
        return ActFolder(self.acts / act_id)


@dataclass(frozen=True, kw_only=True)
class ActStatus:
    """One act as it stands."""

    id: str
    person_id: str
    act: Act
    command: str
    """The command that does the same."""
    state: str
    """`working`, `done`, `refused`, `failed`, `stopped` or `lost` (console/acts/folder.py)."""
    created_at: datetime.datetime
    ended_at: datetime.datetime | None
    said: Mapping[str, Any]
    """What came of it: of a refusal `problems`, of a failure `message`."""

    @property
    def under_way(self) -> bool:
        """Whether it has not ended."""
        return self.state == act_rows.UNDER_WAY

    @classmethod
    def of(cls, row: ActRow) -> Self:
        """Return what a row says."""
        return cls(
            id=row.id, person_id=row.person_id, act=read_act(row.about), command=row.command,
            state=row.state, created_at=row.created_at, ended_at=row.ended_at, said=row.said,
        )  # fmt: skip


@dataclass(frozen=True)
class Step:
    """One thing that an act has told."""

    time: str
    """UTC, ISO 8601."""
    event: ProgressEvent


@dataclass(frozen=True)
class News:
    """What an act has told since a cursor, and the cursor after it."""

    steps: tuple[Step, ...]
    cursor: str


def status(place: Place, act_id: str) -> ActStatus | None:
    """Return how an act stands now, None where there is none of that id."""
    with place.database.reading() as database:
        row = act_rows.read(database, act_id)
    return _settled(place, row) if row else None


def newest(place: Place, environment: str, limit: int = 20) -> list[ActStatus]:
    """Return how an environment's last acts stand, newest first."""
    with place.database.reading() as database:
        rows = act_rows.newest(database, environment, limit)
    return [_settled(place, row) for row in rows]


def newest_of(place: Place, person_id: str, limit: int = 20) -> list[ActStatus]:
    """Return how the last acts stand that a person has asked for, newest first."""
    with place.database.reading() as database:
        rows = act_rows.newest_of(database, person_id, limit)
    return [_settled(place, row) for row in rows]


def under_way(place: Place, environment: str) -> list[ActStatus]:
    """Return an environment's acts that go on, oldest first."""
    with place.database.reading() as database:
        rows = act_rows.under_way(database, environment)
    return [found for row in rows if (found := _settled(place, row)).under_way]


def last_end(place: Place, *verbs: Verb) -> datetime.datetime | None:
    """Return when the last act with one of these verbs has ended, as far as somebody has looked."""
    with place.database.reading() as database:
        return act_rows.last_end(database, verbs)


def news(place: Place, act_id: str, cursor: str = "") -> News:
    """Return what the act has told since that cursor, all of it for "" or for what is no cursor."""
    since = int(cursor[1:]) if _CURSOR.fullmatch(cursor) else 0
    data = place.folder(act_id).told(since)
    steps = tuple(_step(json.loads(line)) for line in data.splitlines())
    return News(steps, f"p{since + len(data)}")


def _step(told: dict[str, Any]) -> Step:
    return Step(str(told.pop("time")), ProgressEvent(**told))


def _settled(place: Place, row: ActRow) -> ActStatus:
    """Return how the act stands; where it has ended since the row was written, that is noted.

    An act without its folder is another replica's, on another machine: its row says what is known.
    """
    folder = place.folder(row.id)
    if row.state != act_rows.UNDER_WAY or not folder.path.is_dir():
        return ActStatus.of(row)
    if (state := folder.state()) == "working":
        return ActStatus.of(row)
    end = folder.end()
    at = datetime.datetime.fromisoformat(end.at) if end else None
    with place.database.writing() as database:
        act_rows.note_end(database, row.id, state, end.said if end else {}, at)
        settled = act_rows.read(database, row.id)
        assert settled is not None, "rows of acts stay"
        return ActStatus.of(settled)
