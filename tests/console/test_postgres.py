"""The console on PostgreSQL: what holds on SQLite holds there, and two consoles on one database are one."""

from __future__ import annotations

import dataclasses
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from console.acts.spec import Down, Up
from console.acts.watch import Place
from console.people import members
from console.people.accounts import Person
from console.people.throttle import PER_ACCOUNT
from console.services import open_services
from console.settings import Settings
from console.store.database import Database
from console.store.upgrade import upgrade
from fleet.cloud import Cloud
from fleet.errors import ActError
from fleet.policy import Grant
from fleet.project import Project
from fleet.session import Session
from scripts.cli import main
from stacks.problems import UserError
from tests.console import test_acts, test_sessions, test_store, test_throttle
from tests.console.acting import add_person, begin, going_on
from tests.console.lab import ConsoleLab, Visitor, declare_environment, serving, settings_of
from tests.console.postgres_server import PostgresServer, running
from tests.environment_parts import make_buckets
from tests.run_environment import make_specs

pytestmark = [pytest.mark.console, pytest.mark.postgres, pytest.mark.sandbox]
OF_SQLITE = {
    "test_only_whoever_runs_it_reads_the_database",
    "test_another_kind_of_database_is_refused",
    "test_the_database_holds_nothing_that_signs_anybody_in",
}
"""Claims about a file, or about no database at all."""
OF_ACTS = (
    "test_a_refusal_ends_it_with_every_problem",
    "test_a_second_click_starts_nothing_and_a_teardown_goes_on_alone",
)
"""Of the tests of acts those that the database decides."""


def _held_here_too() -> Iterator[tuple[str, object]]:
    """Yield the tests of SQLite that are run here again, with the fixtures of this file."""
    for module in (test_store, test_sessions, test_throttle):
        yield from ((name, each) for name, each in vars(module).items() if name.startswith("test_"))
    yield from ((name, vars(test_acts)[name]) for name in OF_ACTS)


globals().update({name: each for name, each in _held_here_too() if name not in OF_SQLITE})


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """A server of this file's own."""
    with running() as found:
        yield found


def new_url(server: PostgresServer) -> str:
    """Return the URL of a new, empty database."""
    return server.new_database(f"console_{secrets.token_hex(4)}")


@pytest.fixture
def url(server: PostgresServer) -> str:
    """A new, empty database."""
    return new_url(server)


@pytest.fixture
def database(url: str) -> Database:
    """The same with our tables."""
    made = Database(url)
    upgrade(made)
    return made


def settings_on(url: str, root: Path, home: Path | None = None, cloud: str = "aws") -> Settings:
    """Return settings of a console of that project, on that database."""
    (root / "environments").mkdir(exist_ok=True)
    return dataclasses.replace(settings_of(root, home or root / ".fleetform", cloud), database_url=url)


@pytest.fixture(scope="module")
def lab(server: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConsoleLab]:
    """A console over a project that declares nothing, shared by the tests of this file."""
    with serving(settings_on(new_url(server), tmp_path_factory.mktemp("console"))) as found:
        yield found


@pytest.fixture
def own_lab(url: str, tmp_path: Path) -> Iterator[ConsoleLab]:
    """The same, for one test alone."""
    with serving(settings_on(url, tmp_path)) as found:
        yield found


@pytest.fixture(scope="module")
def place(
    server: PostgresServer, sandbox: Cloud, sandbox_home: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Place]:
    """Where a console keeps its acts whose project declares `studio`, which has buckets and no machines."""
    root = tmp_path_factory.mktemp("acts")
    declare_environment(root, "studio", "tests")
    project = Project(root=root, home=sandbox_home)
    make_buckets(Session(project, sandbox, *make_specs("studio", 1)))
    settings = settings_on(new_url(server), root, sandbox_home, "sandbox")
    services = open_services(settings)
    yield Place(settings, services.database)
    services.database.close()


@pytest.fixture(scope="module")
def ann(place: Place) -> Person:
    """Somebody who acts."""
    return add_person(place)


# ------------------------------------------------------------------------------ two consoles


@contextmanager
def replicas(url: str, tmp_path: Path, home: Path) -> Iterator[tuple[ConsoleLab, ConsoleLab]]:
    """Serve two consoles, each with its own copy of a project that declares `blue`, on one database."""
    roots = tmp_path / "one", tmp_path / "two"
    for root in roots:
        root.mkdir()
        declare_environment(root, "blue", "tests")
    first, second = (settings_on(url, root, home, "sandbox") for root in roots)
    with serving(first) as one, serving(second) as two:
        yield one, two


def elsewhere(visitor: Visitor, lab: ConsoleLab) -> Visitor:
    """Return the same browser at another replica, to which a proxy may lead it at any time."""
    other = lab.visitor()
    other.client.cookies.update(dict(visitor.client.cookies))
    return other


def test_who_signs_in_at_one_is_signed_in_at_the_other_until_either_ends_it(
    url: str, tmp_path: Path, sandbox_home: Path
) -> None:
    with replicas(url, tmp_path, sandbox_home) as (one, two):
        first = one.signed_in("viewer")
        second = elsewhere(first, two)
        assert first.get("/me").status_code == second.get("/me").status_code == 200
        assert second.post("/logout", {}, page="/me").status_code == 303
        assert first.get("/me").headers["location"].startswith("/login"), "its session is no good any more"
        assert elsewhere(first, two).get("/me").status_code == 303


def test_a_role_that_is_given_or_taken_at_one_holds_at_the_other_at_the_next_click(
    url: str, tmp_path: Path, sandbox_home: Path
) -> None:
    with replicas(url, tmp_path, sandbox_home) as (one, two):
        person = one.person(login="ann")
        visitor = two.visitor()
        assert visitor.sign_in("ann").status_code == 303
        assert visitor.get("/people").status_code != 200
        with one.services.database.writing() as database:
            members.add_grant(database, person.id, Grant("admin", "*"), "")
        assert visitor.get("/people").status_code == 200


def test_failures_at_one_count_at_the_other(url: str, tmp_path: Path, sandbox_home: Path) -> None:
    with replicas(url, tmp_path, sandbox_home) as (one, two):
        one.person(login="ann")
        visitors = one.visitor(), two.visitor()
        statuses = [
            visitors[number % 2].sign_in("ann", f"guess {number}").status_code
            for number in range(PER_ACCOUNT)
        ]
        assert statuses == [401] * PER_ACCOUNT
        assert [each.sign_in("ann").status_code for each in visitors] == [429, 429]


def test_an_act_of_one_is_seen_at_the_other_and_in_the_way_of_it_there(
    url: str, tmp_path: Path, sandbox_home: Path
) -> None:
    with replicas(url, tmp_path, sandbox_home) as (one, two):
        person = one.person(Grant("operator", "tests"), login="ann")
        here, there = (Place(each.services.settings, each.services.database) for each in (one, two))
        visitor = two.visitor()
        visitor.sign_in("ann")
        with going_on(here, person, Up(environment="blue")) as act_id:
            page = visitor.get(f"/acts/{act_id}")
            assert page.status_code == 200 and "at work" in page.text
            with pytest.raises(UserError, match="`fleetform up blue` goes on since"):
                begin(there, person, Down(environment="blue"))
        assert one.services.settings.data != two.services.settings.data
        first = one.visitor()
        first.sign_in("ann")
        assert "cut off" in first.get(f"/acts/{act_id}").text, "the one whose act it was sees how it ended"
        assert "cut off" in visitor.get(f"/acts/{act_id}").text, "and so does the other, from then on"


def test_consoles_that_start_at_the_same_time_make_the_tables_once(url: str, tmp_path: Path) -> None:
    troubles: list[BaseException] = []
    barrier = threading.Barrier(4)

    def start() -> None:
        database = Database(url)
        try:
            barrier.wait(30)
            upgrade(database)
        except BaseException as trouble:
            troubles.append(trouble)
        finally:
            database.close()

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert troubles == []


# ------------------------------------------------------------------------------ what is wrong with it


def test_a_server_that_does_not_answer_is_told_without_a_traceback_or_a_password() -> None:
    database = Database("postgresql://console:secret@127.0.0.1:1/console")
    with pytest.raises(ActError, match="the console's database does not answer") as caught:
        database.ping()
    assert "secret" not in str(caught.value)


def test_check_says_that_the_database_answers_and_shows_no_password(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "environments").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FLEETFORM_CONSOLE_DATABASE", url.replace("console@", "console:secret@"))
    assert main(["console", "--check", "--cloud", "aws"]) == 0
    said = capsys.readouterr()
    assert "console:***@" in said.out and "which answers" in said.out
    assert "secret" not in said.out + said.err
    monkeypatch.setenv("FLEETFORM_CONSOLE_DATABASE", url.replace("console_", "nothing_"))
    assert main(["console", "--check", "--cloud", "aws"]) == 1
    assert "failed: the console's database does not answer" in capsys.readouterr().err
