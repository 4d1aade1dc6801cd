"""The rows of launches that people are putting together."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import delete, select

from console.store.columns import new_id
from console.store.database import Session
from console.store.people_tables import PersonRow
from console.store.work_tables import DraftRow


def add(database: Session, person_id: str, team: str) -> DraftRow:
    """Add somebody's new one."""
    row = DraftRow(id=new_id(), person_id=person_id, team=team, about={}, act_id="", approved_by="")
    database.add(row)
    database.flush()
    return row


def read(database: Session, draft_id: str, *, changing: bool = False) -> DraftRow | None:
    """Return the one of that id, None where there is none; `changing` it keeps others from it."""
    return database.get(DraftRow, draft_id, with_for_update=changing)


def unfinished(database: Session, person_id: str, limit: int) -> Sequence[DraftRow]:
    """Return those of a person that were never started, the last changed first."""
    mine = select(DraftRow).where(DraftRow.person_id == person_id, DraftRow.act_id == "")
    return database.scalars(mine.order_by(DraftRow.changed_at.desc()).limit(limit)).all()


def not_started(database: Session) -> Sequence[tuple[DraftRow, str]]:
    """Return everybody's that were never started, the last changed first, each with its person's name."""
    found = (
        select(DraftRow, PersonRow.name)
        .join(PersonRow, PersonRow.id == DraftRow.person_id)
        .where(DraftRow.act_id == "")
        .order_by(DraftRow.changed_at.desc())
    )
    return [(row, name) for row, name in database.execute(found)]


def remove(database: Session, draft_id: str) -> None:
    """Throw one away."""
    database.execute(delete(DraftRow).where(DraftRow.id == draft_id))
