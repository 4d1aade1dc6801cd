"""Tables of the record: an index of the ledger, which can be thrown away, and signed reviews."""

from __future__ import annotations

import datetime
from typing import Any

from sqlalchemy import BigInteger, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from console.store.columns import Base, new_id, utc_now


class EntryRow(Base):
    """One entry of the ledger, as it was verified when it was read."""

    __tablename__ = "entries"
    __table_args__ = (
        Index(None, "environment", "sequence"),
        Index(None, "person", "sequence"),
        Index(None, "instance", "sequence"),
        Index(None, "event", "sequence"),
    )

    sequence: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    at: Mapped[datetime.datetime]
    event: Mapped[str] = mapped_column(String(64))
    target: Mapped[str] = mapped_column(String(200))
    outcome: Mapped[str] = mapped_column(String(16))
    environment: Mapped[str] = mapped_column(String(40), default="")
    """"" for one of no environment."""
    person: Mapped[str] = mapped_column(String(200), default="")
    instance: Mapped[str] = mapped_column(String(32), default="")
    hash: Mapped[str] = mapped_column(String(64))
    body: Mapped[str] = mapped_column(Text)
    """The entry as it lies in the bucket."""


class IndexStateRow(Base):
    """How far an index has come."""

    __tablename__ = "index_state"

    name: Mapped[str] = mapped_column(String(32), primary_key=True)
    sequence: Mapped[int] = mapped_column(BigInteger, default=0)
    head: Mapped[str] = mapped_column(String(100), default="")
    verified_at: Mapped[datetime.datetime | None]


class ReviewRow(Base):
    """A review of who may what, or of the record, that somebody has signed."""

    __tablename__ = "reviews"

    id: Mapped[str] = mapped_column(String(16), primary_key=True, default=new_id)
    kind: Mapped[str] = mapped_column(String(16))
    period: Mapped[str] = mapped_column(String(16))
    person_id: Mapped[str] = mapped_column(String(16))
    said: Mapped[dict[str, Any]]
    at: Mapped[datetime.datetime] = mapped_column(default=utc_now)
