"""Brings a database to the tables that this version has, by Alembic's migrations."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config

from console.store.database import Database

MIGRATIONS = Path(__file__).parent / "migrations"


def upgrade(database: Database) -> None:
    """Apply what is missing; a database that is up to date is left alone.

    All of it is one transaction, for which others that start at the same time wait.
    """
    with database.changing() as connection:
        command.upgrade(configuration(connection), "head")


def configuration(connection: object) -> Config:
    """Return Alembic's configuration for a connection that is open already."""
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(MIGRATIONS))
    config.set_main_option("path_separator", "os")
    return config
