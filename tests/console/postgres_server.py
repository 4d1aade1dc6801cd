"""A PostgreSQL server of the tests' own: in a folder and on a socket of its own, and gone after them."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

OWNER = "console"
_USERS = ("postgres", "nobody")
"""As one of whom it runs where the tests are root's: PostgreSQL refuses to run as root."""


@dataclass(frozen=True)
class PostgresServer:
    """A server that takes connections."""

    folder: Path
    """Holds its socket."""

    def url(self, database: str) -> str:
        """Return the URL of one of its databases."""
        return f"postgresql://{OWNER}@/{database}?host={self.folder}"

    def new_database(self, name: str) -> str:
        """Make an empty database and return its URL."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return self.url(name)


@contextmanager
def running() -> Iterator[PostgresServer]:
    """Run a server for as long as the block lasts; the test is skipped where there is no PostgreSQL."""
    initdb, postgres = _program("initdb"), _program("postgres")
    user = _user() if os.geteuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="fleetform-postgres-"))  # a socket's path has 107 bytes at most
    try:
        if user is not None:
            shutil.chown(folder, user)
        data = str(folder / "data")
        made = [initdb, "-D", data, "-U", OWNER, "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]
        subprocess.run(made, check=True, capture_output=True, user=user, cwd="/")
        command = [postgres, "-D", data, "-k", str(folder), "-c", "listen_addresses=", "-c", "fsync=off"]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, user=user, cwd="/")
        try:
            server = PostgresServer(folder)
            _await(server, process)
            yield server
        finally:
            process.send_signal(signal.SIGINT)  # its fast shutdown
            process.wait(30)
    finally:
        shutil.rmtree(folder)


def _await(server: PostgresServer, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            psycopg.connect(server.url("postgres")).close()
            return
        except psycopg.OperationalError:
            said = (server.folder / "log").read_text(encoding="utf-8", errors="replace")
            assert process.poll() is None and time.monotonic() < deadline, said
            time.sleep(0.05)


def _program(name: str) -> str:
    """Return a program of PostgreSQL's; Debian keeps them beside the PATH."""
    found = shutil.which(name)
    beside = sorted(map(str, Path("/usr/lib/postgresql").glob(f"*/bin/{name}")))
    if found is None and not beside:
        pytest.skip(f"there is no PostgreSQL here: install `postgresql`, which has {name}")
    return found or beside[-1]


def _user() -> str:
    known = {each.pw_name for each in pwd.getpwall()}
    found = next((each for each in _USERS if each in known), None)
    if found is None:
        pytest.skip(f"root can't run PostgreSQL, and there is no user {' or '.join(_USERS)}")
    return found
