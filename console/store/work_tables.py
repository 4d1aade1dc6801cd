"""Tables of work: launches being put together, uploads, acts, and entries that wait for the ledger."""

from __future__ import annotations

import datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from console.store.columns import Base, new_id, utc_now
from console.store.people_tables import PERSON


class DraftRow(Base):
    """A launch that somebody is putting together, step by step."""

    __tablename__ = "drafts"

    id: Mapped[str] = mapped_column(String(16), primary_key=True, default=new_id)
    person_id: Mapped[str] = mapped_column(ForeignKey(PERSON), index=True)
    team: Mapped[str] = mapped_column(String(40))
    about: Mapped[dict[str, Any]]
    created_at: Mapped[datetime.datetime] = mapped_column(default=utc_now)
    changed_at: Mapped[datetime.datetime] = mapped_column(default=utc_now)
    act_id: Mapped[str] = mapped_column(String(16), default="")
    """The act that it became, "" before it is started."""
    approved_by: Mapped[str] = mapped_column(String(16), default="")


class UploadRow(Base):
    """Files that somebody brings; their bytes lie in the spool."""

    __tablename__ = "uploads"

    id: Mapped[str] = mapped_column(String(16), primary_key=True, default=new_id)
    person_id: Mapped[str] = mapped_column(ForeignKey(PERSON), index=True)
    team: Mapped[str] = mapped_column(String(40), index=True)
    kind: Mapped[str] = mapped_column(String(16))
    """`pictures`, `table` or `text`."""
    state: Mapped[str] = mapped_column(String(16))
    """`open`, `checking`, `ready` or `refused`."""
    about: Mapped[dict[str, Any]]
    """The files' names and sizes, and what the check found."""
    bytes: Mapped[int] = mapped_column(BigInteger, default=0)
    created_at: Mapped[datetime.datetime] = mapped_column(default=utc_now)


class ActRow(Base):
    """Something that changes the cloud, carried out by a process of its own."""

    __tablename__ = "acts"
    __table_args__ = (Index(None, "environment", "created_at"), Index(None, "state"))

    id: Mapped[str] = mapped_column(String(16), primary_key=True, default=new_id)
    person_id: Mapped[str] = mapped_column(ForeignKey(PERSON))
    environment: Mapped[str] = mapped_column(String(40))
    verb: Mapped[str] = mapped_column(String(32))
    """As fleet/policy.py has it."""
    about: Mapped[dict[str, Any]]
    command: Mapped[str] = mapped_column(Text)
    """The command that does the same."""
    state: Mapped[str] = mapped_column(String(16), default="working")
    """`working`, `done`, `refused`, `failed`, `stopped` or `lost` (acts/folder.py)."""
    created_at: Mapped[datetime.datetime] = mapped_column(default=utc_now)
    ended_at: Mapped[datetime.datetime | None]
    said: Mapped[dict[str, Any]]
    """What came of it."""


class WaitingEntryRow(Base):
    """An entry from before there was a ledger; it goes there first once there is one."""

    __tablename__ = "waiting_entries"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    event: Mapped[str] = mapped_column(String(64))
    target: Mapped[str] = mapped_column(String(200))
    outcome: Mapped[str] = mapped_column(String(16))
    asked_by: Mapped[dict[str, Any]]
    about: Mapped[dict[str, Any]]
    at: Mapped[datetime.datetime] = mapped_column(default=utc_now)
