"""Tables of the record: an index of the ledger, which can be thrown away, and signed reviews."""

from __future__ import annotations

import datetime
from typing import Any

from sqlalchemy import BigInteger, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from console.store.columns import Base, new_id, utc_now

INDEXED = ("environment", "person", "event", "outcome", "target", "run", "instance")
"""The columns by which entries are found, each together with the number."""


class EntryRow(Base):
    """What lists show of one entry of the ledger, as it was verified when it was read."""

    __tablename__ = "entries"
    __table_args__ = tuple(Index(None, column, "sequence") for column in INDEXED)

    sequence: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    at: Mapped[datetime.datetime]
    event: Mapped[str] = mapped_column(String(64))
    target: Mapped[str] = mapped_column(String(200))
    outcome: Mapped[str] = mapped_column(String(16))
    environment: Mapped[str] = mapped_column(String(40), default="")
    """"" for one of no environment."""
    run: Mapped[str] = mapped_column(String(100), default="")
    person: Mapped[str] = mapped_column(String(200), default="")
    """A person's id, a person whom the cloud vouches for, else the caller's ARN (fleet/entry_about.py)."""
    instance: Mapped[str] = mapped_column(String(32), default="")


class IndexStateRow(Base):
    """How far an index has come, or what it has stumbled over."""

    __tablename__ = "index_state"

    name: Mapped[str] = mapped_column(String(32), primary_key=True)
    sequence: Mapped[int] = mapped_column(BigInteger, default=0)
    head: Mapped[str] = mapped_column(String(100), default="")
    verified_at: Mapped[datetime.datetime | None]


class ReviewRow(Base):
    """A review of who may what, or of the record, that somebody has signed."""

    __tablename__ = "reviews"
    __table_args__ = (Index(None, "period", "kind", unique=True),)

    id: Mapped[str] = mapped_column(String(16), primary_key=True, default=new_id)
    kind: Mapped[str] = mapped_column(String(16))
    """`access` or `log`."""
    period: Mapped[str] = mapped_column(String(16))
    """A month, `2026-11`."""
    person_id: Mapped[str] = mapped_column(String(16))
    said: Mapped[dict[str, Any]]
    at: Mapped[datetime.datetime] = mapped_column(default=utc_now)
