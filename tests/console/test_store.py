"""The database: migrations make the tables that the code has, and writers wait for each other."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import func, select

from console.store.database import Database, sqlite_url
from console.store.people_tables import PersonRow
from console.store.tables import METADATA
from console.store.upgrade import upgrade
from stacks.problems import UserError

pytestmark = pytest.mark.console


@pytest.fixture
def database(tmp_path: Path) -> Database:
    made = Database(sqlite_url(tmp_path / "data" / "console.sqlite3"))
    upgrade(made)
    return made


def test_migrations_make_the_tables_that_the_code_has(database: Database) -> None:
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, METADATA) == []
    upgrade(database)  # and again nothing is to do
    database.close()


def test_writers_wait_for_each_other_and_lose_nothing(database: Database) -> None:
    def write(number: int) -> None:
        for _ in range(10):
            with database.writing() as session:
                count = session.scalar(select(func.count()).select_from(PersonRow))
                session.add(PersonRow(name=f"{number} after {count}", language="", zone="", theme=""))

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.reading() as session:
        names = session.scalars(select(PersonRow.name)).all()
    assert sorted(int(name.rpartition(" ")[2]) for name in names) == list(range(40))
    database.close()


def test_what_fails_is_undone_as_a_whole(database: Database) -> None:
    with pytest.raises(ZeroDivisionError), database.writing() as session:
        session.add(PersonRow(name="half", language="", zone="", theme=""))
        session.flush()
        raise ZeroDivisionError
    with database.reading() as session:
        assert session.scalar(select(func.count()).select_from(PersonRow)) == 0
    database.close()


def test_only_whoever_runs_it_reads_the_database(tmp_path: Path, database: Database) -> None:
    assert (tmp_path / "data").stat().st_mode & 0o077 == 0
    database.close()


@pytest.mark.parametrize("url", ["mysql://host/name", "nonsense", "sqlite://"])
def test_another_kind_of_database_is_refused(url: str) -> None:
    with pytest.raises(UserError, match="has no database of the kind"):
        Database(url)
