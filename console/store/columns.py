"""What the console's tables are made of: moments in UTC, small values as JSON, random ids."""

from __future__ import annotations

import datetime
import secrets
from typing import Any

from sqlalchemy import JSON, DateTime, Dialect, MetaData
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.types import TypeDecorator


class Moment(TypeDecorator[datetime.datetime]):
    """A moment, aware and in UTC on the way in and out, also where the database keeps no zone (SQLite)."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(
        self, value: datetime.datetime | None, dialect: Dialect
    ) -> datetime.datetime | None:
        """Take an aware moment to UTC; a naive one is our bug."""
        if value is None:
            return None
        assert value.tzinfo is not None, "a moment without a zone"
        return value.astimezone(datetime.UTC)

    def process_result_value(
        self, value: datetime.datetime | None, dialect: Dialect
    ) -> datetime.datetime | None:
        """Return it aware."""
        if value is None or value.tzinfo is not None:
            return value
        return value.replace(tzinfo=datetime.UTC)


class Base(DeclarativeBase):
    """The base of every table."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {datetime.datetime: Moment, dict[str, Any]: JSON}


def new_id() -> str:
    """Return an id that nobody can guess or count by: 64 bits, as hexadecimal digits."""
    return secrets.token_hex(8)


def utc_now() -> datetime.datetime:
    """Return this moment."""
    return datetime.datetime.now(datetime.UTC)
