"""The rows of reviews: each month's review of access and of logs, once somebody has signed it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import select

from console.store.database import Session
from console.store.record_tables import ReviewRow


def since(database: Session, period: str) -> Sequence[ReviewRow]:
    """Return the reviews of that month and of those after it."""
    return database.scalars(select(ReviewRow).where(ReviewRow.period >= period)).all()


def is_signed(database: Session, kind: str, period: str) -> bool:
    """Return whether the review of that month is signed."""
    found = select(ReviewRow.id).where(ReviewRow.period == period, ReviewRow.kind == kind)
    return database.scalar(found.limit(1)) is not None


def sign(database: Session, kind: str, period: str, person_id: str, said: Mapping[str, Any]) -> None:
    """Keep a signed review."""
    database.add(ReviewRow(kind=kind, period=period, person_id=person_id, said=dict(said)))
