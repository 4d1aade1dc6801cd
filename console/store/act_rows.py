"""The rows of acts: who asked for what, and how it ended."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import func, select, update

from console.store.columns import utc_now
from console.store.database import Session
from console.store.work_tables import ActRow

UNDER_WAY = "working"


def read(database: Session, act_id: str) -> ActRow | None:
    """Return an act's row, None where there is none of that id."""
    return database.get(ActRow, act_id)


def newest(database: Session, environment: str, limit: int) -> Sequence[ActRow]:
    """Return an environment's last acts, newest first."""
    found = select(ActRow).where(ActRow.environment == environment)
    return database.scalars(found.order_by(ActRow.created_at.desc()).limit(limit)).all()


def under_way(database: Session, environment: str) -> Sequence[ActRow]:
    """Return an environment's acts that have not ended, as far as the rows know, oldest first."""
    found = select(ActRow).where(ActRow.environment == environment, ActRow.state == UNDER_WAY)
    return database.scalars(found.order_by(ActRow.created_at)).all()


def note_end(
    database: Session, act_id: str, state: str, said: Mapping[str, Any], at: datetime.datetime | None
) -> None:
    """Note how the act ended, once; `at` is None where nobody knows when."""
    ended = update(ActRow).where(ActRow.id == act_id, ActRow.state == UNDER_WAY)
    database.execute(ended.values(state=state, said=dict(said), ended_at=at or utc_now()))


def newest_of(database: Session, person_id: str, limit: int) -> Sequence[ActRow]:
    """Return the last acts that a person has asked for, newest first."""
    found = select(ActRow).where(ActRow.person_id == person_id)
    return database.scalars(found.order_by(ActRow.created_at.desc()).limit(limit)).all()


def last_end(database: Session, verbs: Sequence[str]) -> datetime.datetime | None:
    """Return when the last act with one of these verbs has ended, as far as the rows know."""
    return database.scalar(select(func.max(ActRow.ended_at)).where(ActRow.verb.in_(verbs)))
