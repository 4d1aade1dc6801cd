"""The console's database: SQLite in one file, or PostgreSQL by its URL where several replicas share it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.orm import Session as Session  # what pages call a transaction

from stacks.problems import UserError

_WRITES = "fleetform_writes"
_BUSY_MS = 10_000
"""How long a writer waits for another one; SQLite has one at a time."""


class Database:
    """Where the console keeps people, sessions and what else is in no run directory and no ledger."""

    def __init__(self, url: str) -> None:
        """Connect lazily to `sqlite:///PATH` or `postgresql://...`; raises UserError for another URL."""
        self.url = url
        self.engine = _engine(url)
        self._writing_engine = self.engine.execution_options(**{_WRITES: True})

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """Open a transaction that only reads."""
        with Session(self.engine, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """Open a transaction that writes: all of it, or nothing where the block raises."""
        with Session(self._writing_engine, expire_on_commit=False) as session, session.begin():
            yield session

    def ping(self) -> None:
        """Ask the database something; raises where it does not answer."""
        with self.engine.connect() as connection:
            connection.exec_driver_sql("SELECT 1")

    def close(self) -> None:
        """Give all connections back."""
        self.engine.dispose()


def sqlite_url(file: Path) -> str:
    """Return the URL of a database in one file."""
    return f"sqlite:///{file}"


def _engine(url: str) -> Engine:
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise _unknown(url) from error
    if parsed.get_backend_name() == "postgresql":
        return create_engine(parsed.set(drivername="postgresql+psycopg"), pool_pre_ping=True)
    if parsed.get_backend_name() != "sqlite" or not parsed.database:
        raise _unknown(parsed.get_backend_name())
    Path(parsed.database).parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    engine = create_engine(parsed)
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _unknown(what: str) -> UserError:
    return UserError.of(
        f"the console has no database of the kind {what.partition(':')[0]!r}",
        "give a URL `sqlite:///PATH` or `postgresql://USER@HOST/NAME`, or none for a file of the project's",
        path="--database",
    )


def _prepare_sqlite(connection: Any, _: object) -> None:
    """Let readers go on beside a writer, hold foreign keys, and leave transactions to us."""
    connection.isolation_level = None
    for pragma in (
        "journal_mode=WAL",
        "synchronous=NORMAL",
        "foreign_keys=ON",
        f"busy_timeout={_BUSY_MS}",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    """Take the writer's lock at once where the transaction writes: one that reads first could not wait."""
    writes = connection.get_execution_options().get(_WRITES)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
