"""The rows of uploads: whose they are, how they stand, how much they take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import delete, func, select, update

from console.store.database import Session
from console.store.work_tables import UploadRow

OPEN, CHECKING, READY, REFUSED = "open", "checking", "ready", "refused"


def read(database: Session, upload_id: str) -> UploadRow | None:
    """Return an upload's row, None where there is none of that id."""
    return database.get(UploadRow, upload_id)


def of_person(database: Session, person_id: str) -> Sequence[UploadRow]:
    """Return a person's uploads, newest first."""
    found = select(UploadRow).where(UploadRow.person_id == person_id)
    return database.scalars(found.order_by(UploadRow.created_at.desc(), UploadRow.id)).all()


def used_bytes(database: Session, person_id: str) -> int:
    """Return how much a person's uploads take."""
    found = select(func.coalesce(func.sum(UploadRow.bytes), 0)).where(UploadRow.person_id == person_id)
    return int(database.scalar(found) or 0)


def unfinished(database: Session) -> Sequence[UploadRow]:
    """Return everybody's uploads that are not ready."""
    return database.scalars(select(UploadRow).where(UploadRow.state != READY)).all()


def known_ids(database: Session) -> frozenset[str]:
    """Return the ids of all uploads."""
    return frozenset(database.scalars(select(UploadRow.id)))


def note_check(database: Session, upload_id: str, about: Mapping[str, Any]) -> None:
    """Note that it is being checked, and by which act."""
    checking = update(UploadRow).where(UploadRow.id == upload_id)
    database.execute(checking.values(state=CHECKING, about=dict(about)))


def note_checked(database: Session, upload_id: str, *, usable: bool, size: int) -> None:
    """Note what the check has found, once; `size` is what it takes from now on, bytes."""
    checked = update(UploadRow).where(UploadRow.id == upload_id, UploadRow.state == CHECKING)
    database.execute(checked.values(state=READY if usable else REFUSED, bytes=size))


def remove(database: Session, upload_id: str) -> None:
    """Remove an upload's row."""
    database.execute(delete(UploadRow).where(UploadRow.id == upload_id))
