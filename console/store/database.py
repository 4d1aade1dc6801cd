"""The console's database: SQLite in one file, or PostgreSQL by its URL where several replicas share it."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.orm import Session as Session  # what pages call a transaction

from fleet.errors import ActError
from stacks.problems import UserError

_WRITES = "fleetform_writes"
_BUSY_MS = 10_000
"""How long a writer waits for another one: there is one at a time."""
_WRITERS_LOCK = 0x666C6565
"""The advisory lock of PostgreSQL that writers hold; any number that is always the same."""
_CONNECT_SECONDS = 10


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
        """Open a transaction that writes: all of it, or nothing where the block raises.

        There is one at a time, of all processes that share the database: what is looked at in it still holds
        when it ends.
        """
        with Session(self._writing_engine, expire_on_commit=False) as session, session.begin():
            yield session

    @contextmanager
    def changing(self) -> Iterator[Connection]:
        """Open a transaction that changes the tables, while nobody else writes."""
        with self._writing_engine.begin() as connection:
            yield connection

    def ping(self) -> None:
        """Ask the database something; raises ActError where it does not answer."""
        try:
            with self.engine.connect() as connection:
                connection.exec_driver_sql("SELECT 1")
        except DBAPIError as error:
            why = str(error.orig).strip().partition("\n")[0]
            raise ActError(f"the console's database does not answer: {why}") from error

    def close(self) -> None:
        """Give all connections back."""
        self.engine.dispose()


def sqlite_url(file: Path) -> str:
    """Return the URL of a database in one file."""
    return f"sqlite:///{file}"


def described(url: str) -> str:
    """Return a database's URL without its password."""
    return make_url(url).render_as_string(hide_password=True)


def _engine(url: str) -> Engine:
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise _unknown(url) from error
    if parsed.get_backend_name() == "postgresql":
        if importlib.util.find_spec("psycopg") is None:
            do = "install it: pip install 'fleetform[postgres]'"
            raise UserError.of("what speaks to PostgreSQL is not installed", do, path="--database")
        engine = create_engine(
            parsed.set(drivername="postgresql+psycopg"),
            pool_pre_ping=True,
            connect_args={"connect_timeout": _CONNECT_SECONDS},
        )
        event.listen(engine, "begin", _begin_postgresql)
        return engine
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


def _begin_postgresql(connection: Connection) -> None:
    """Let writers wait for each other, as SQLite does, until the transaction of the one before ends."""
    if connection.get_execution_options().get(_WRITES):
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = {_BUSY_MS}")
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_WRITERS_LOCK})")
