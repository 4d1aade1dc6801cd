"""The index of the ledger: each entry once, in order, verified; thrown away where it does not fit."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from console.records.building import building
from console.records.index import RecordIndex
from console.store import entry_rows
from console.store.database import Database, sqlite_url
from console.store.entry_rows import State, Where
from console.store.upgrade import upgrade
from fleet import chain
from fleet.errors import ActError
from fleet.ledger_links import Link, check_links
from fleet.project import Project

pytestmark = pytest.mark.console
ANN, BEN = "a" * 16, "b" * 16
BEGAN = datetime.datetime(2026, 11, 1, tzinfo=datetime.UTC)


def entry_of(sequence: int, previous: str, **more: Any) -> dict[str, Any]:
    """Return an entry, its hash in it; a minute after the one before."""
    time = BEGAN + datetime.timedelta(minutes=sequence)
    entry = {
        "sequence": sequence, "time": time.isoformat(), "event": "console.login", "target": ANN,
        "outcome": "succeeded", "actor": {"identity": "arn:console", "asked_by": {"id": ANN, "name": "Ann"}},
        "details": {}, "prev_hash": previous, **more,
    }  # fmt: skip
    return {**entry, "hash": chain.entry_hash(entry)}


@dataclass
class FakeLedger:
    """A chain in memory, read as `fleet.ledger_reading` reads the bucket's."""

    chain: list[dict[str, Any]] = field(default_factory=list)

    def add(self, **more: Any) -> None:
        previous = self.chain[-1]["hash"] if self.chain else chain.GENESIS
        self.chain.append(entry_of(len(self.chain) + 1, previous, **more))

    def tail(self) -> tuple[int, str]:
        return (len(self.chain), self.chain[-1]["hash"]) if self.chain else (0, chain.GENESIS)

    def get(self, sequence: int) -> dict[str, Any]:
        return self.chain[sequence - 1]

    def entries_from(self, sequence: int, limit: int) -> list[dict[str, Any]]:
        return [each for each in self.chain if sequence <= each["sequence"] < sequence + limit]


@dataclass
class FakeAccount:
    """An account that is its ledger."""

    ledger: FakeLedger


@pytest.fixture
def database(tmp_path: Path) -> Database:
    made = Database(sqlite_url(tmp_path / "console.sqlite3"))
    upgrade(made)
    return made


@pytest.fixture
def ledger() -> FakeLedger:
    return FakeLedger()


@pytest.fixture
def open_index(
    database: Database, ledger: FakeLedger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[], RecordIndex]:
    """Return what opens the index as a console does at its start."""

    def opened() -> RecordIndex:
        index = RecordIndex(Project(root=tmp_path, home=tmp_path), None, database)
        monkeypatch.setattr(index, "account", lambda: FakeAccount(ledger))
        return index

    return opened


def numbers(database: Database, where: Where, *, before: int | None = None, limit: int = 50) -> list[int]:
    with database.reading() as session:
        return [row.sequence for row in entry_rows.page(session, where, before=before, limit=limit).rows]


def test_it_has_every_entry_once_and_what_each_is_about(
    database: Database, ledger: FakeLedger, open_index: Callable[[], RecordIndex]
) -> None:
    ledger.add()
    ledger.add(event="run.submit", target="blue", details={"run_id": "r-1"})
    ledger.add(event="run.ended", target="r-1", actor={"identity": "arn:head"})
    ledger.add(event="environment.up", target="red", actor={"identity": "arn:x", "person": "ben"})
    ledger.add(
        event="console.login",
        outcome="failed",
        actor={"identity": "arn:console", "asked_by": {"via": "console"}},
    )
    index = open_index()
    reach = index.look(30)
    assert (reach.sequence, reach.last, reach.faults, reach.whole) == (5, 5, (), True)
    assert index.look(30).sequence == 5
    with database.reading() as session:
        found = [entry_rows.get_row(session, number) for number in range(1, 6)]
    told = [(row.environment, row.run, row.person) for row in found if row]
    assert told == [
        ("", "", ANN),
        ("blue", "r-1", ANN),
        ("blue", "r-1", "arn:head"),
        ("red", "", "ben"),
        ("", "", ""),
    ]


def test_what_is_appended_later_is_there_at_the_next_look(
    database: Database, ledger: FakeLedger, open_index: Callable[[], RecordIndex]
) -> None:
    index = open_index()
    assert index.look(30).last == 0
    for _ in range(3):
        ledger.add()
        assert index.look(30).sequence == len(ledger.chain)
    assert numbers(database, Where()) == [3, 2, 1]


def test_an_entry_that_was_changed_is_named_and_those_after_it_are_there(
    database: Database, ledger: FakeLedger, open_index: Callable[[], RecordIndex]
) -> None:
    for _ in range(4):
        ledger.add()
    ledger.chain[1]["target"] = "nobody"
    reach = open_index().look(30)
    assert reach.faults == ((2, "changed"), (3, "not linked"))
    assert numbers(database, Where()) == [4, 3, 2, 1]


def test_an_entry_that_is_missing_is_named(ledger: FakeLedger, open_index: Callable[[], RecordIndex]) -> None:
    for _ in range(4):
        ledger.add()
    gone = ledger.chain.pop(1)
    ledger.tail = lambda: (4, ledger.chain[-1]["hash"])  # type: ignore[method-assign]
    assert gone["sequence"] == 2
    assert open_index().look(30).faults == ((2, "missing"),)


def test_of_another_chain_it_is_filled_anew(
    database: Database, ledger: FakeLedger, open_index: Callable[[], RecordIndex]
) -> None:
    for _ in range(5):
        ledger.add()
    open_index().look(30)
    ledger.chain.clear()
    for number in range(3):
        ledger.add(target=f"t-{number}")
    reach = open_index().look(30)
    assert (reach.sequence, reach.faults) == (3, ())
    with database.reading() as session:
        assert [row.target for row in entry_rows.page(session, Where()).rows] == ["t-2", "t-1", "t-0"]


def test_a_chain_that_was_replaced_while_the_console_runs_is_noticed_with_its_next_entries(
    database: Database, ledger: FakeLedger, open_index: Callable[[], RecordIndex]
) -> None:
    index = open_index()
    for _ in range(2):
        ledger.add()
    index.look(30)
    ledger.chain.clear()
    for number in range(3):
        ledger.add(target=f"t-{number}")
    assert (index.look(30).sequence, index.look(30).faults) == (3, ())
    assert numbers(database, Where(targets=("t-0",))) == [1]


def test_whoever_else_fills_it_at_the_same_time_is_not_in_the_way(database: Database) -> None:
    entry = entry_of(1, chain.GENESIS)
    found = check_links([entry], Link(0, ""), 10, 1)
    row = {"sequence": 1, "at": BEGAN, "event": "e", "target": "t", "outcome": "o", "environment": "",
           "run": "", "person": "", "instance": ""}  # fmt: skip
    state = State(1, found.end.digest)
    assert entry_rows.append(database, State(), [row], state)
    assert not entry_rows.append(database, State(), [row], state), "the other one has gone on already"


def test_a_ledger_that_cannot_be_read_is_said(
    ledger: FakeLedger, open_index: Callable[[], RecordIndex], monkeypatch: pytest.MonkeyPatch
) -> None:
    index = open_index()
    ledger.add()
    index.look(30)

    def refuse() -> tuple[int, str]:
        raise RuntimeError("out of order")

    monkeypatch.setattr(ledger, "tail", refuse)
    reach = index.look(30)
    assert reach.trouble and not reach.whole and reach.sequence == 1


# ------------------------------------------------------------------------------ pages of it


@pytest.fixture
def filled(database: Database, ledger: FakeLedger, open_index: Callable[[], RecordIndex]) -> Database:
    """Three hundred entries: each third is Ben's, each tenth refused, each hundredth of red."""
    for number in range(1, 301):
        who = BEN if number % 3 == 0 else ANN
        ledger.add(
            event="environment.up",
            target="red" if number % 100 == 0 else "blue",
            outcome="refused" if number % 10 == 0 else "succeeded",
            actor={"identity": "arn:console", "asked_by": {"id": who}},
        )
    open_index().look(60)
    return database


def test_pages_follow_on_each_other_without_a_hole(filled: Database) -> None:
    seen: list[int] = []
    before: int | None = None
    while True:
        with filled.reading() as session:
            page = entry_rows.page(session, Where(), before=before, limit=70)
        seen += [row.sequence for row in page.rows]
        if page.older is None:
            break
        before = page.older
    assert seen == list(range(300, 0, -1))


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        (Where(environment="red"), [300, 200, 100]),
        (Where(people=(BEN,), outcome="refused"), [300, 270, 240, 210, 180, 150, 120, 90, 60, 30]),
        (Where(people=(ANN, BEN), environment="red"), [300, 200, 100]),
        (Where(environment="green"), []),
        (Where(environment="green", outcome="failed"), []),
        (Where(outcome="refused", since=BEGAN + datetime.timedelta(minutes=280)), [300, 290, 280]),
        (Where(since=BEGAN + datetime.timedelta(days=9)), []),
        (Where(outcome="refused", until=BEGAN + datetime.timedelta(minutes=30)), [20, 10]),
    ],
)
def test_filters_narrow_it_down_together(filled: Database, where: Where, expected: list[int]) -> None:
    assert numbers(filled, where) == expected


def test_where_filters_meet_a_page_looks_through_a_bounded_stretch_and_says_how_far(
    filled: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(entry_rows, "_WINDOW", 20)
    monkeypatch.setattr(entry_rows, "_WINDOWS", 2)
    where = Where(environment="red", people=(ANN,))
    with filled.reading() as session:
        page = entry_rows.page(session, where)
        assert ([row.sequence for row in page.rows], page.older) == ([], 261)
        found: list[int] = []
        while page.older is not None:
            page = entry_rows.page(session, where, before=page.older)
            found += [row.sequence for row in page.rows]
    assert found == [200, 100]


def test_every_query_of_one_filter_goes_by_its_index(filled: Database) -> None:
    for column in ("environment", "person", "event", "outcome", "target", "run"):
        with filled.engine.connect() as connection:
            plan = connection.exec_driver_sql(
                f"EXPLAIN QUERY PLAN SELECT * FROM entries WHERE sequence >= 1 AND sequence < 9 "
                f"AND {column} = 'x' ORDER BY sequence DESC LIMIT 51"
            ).fetchall()
        told = json.dumps([list(map(str, row)) for row in plan])
        assert f"ix_entries_{column}_sequence" in told and "TEMP B-TREE" not in told, told


def test_an_environments_building_comes_from_the_index_and_what_it_lacks_is_said(
    database: Database,
    ledger: FakeLedger,
    open_index: Callable[[], RecordIndex],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for event in ("environment.up", "lease.extend", "run.submit", "environment.down"):
        ledger.add(event=event, target="vision")
    ledger.add(event="environment.up", target="audio")
    index = open_index()
    found, missing = building(database, index, "vision")
    assert [entry["sequence"] for entry in found] == [1, 4] and missing == ()

    def refuse(sequence: int, limit: int) -> list[dict[str, Any]]:
        raise ActError("no way to the bucket")

    ledger.add(event="environment.up", target="vision")
    monkeypatch.setattr(ledger, "entries_from", refuse)
    found, (said,) = building(database, index, "vision")
    assert [entry["sequence"] for entry in found] == [1, 4]
    assert said.startswith("the ledger could not be read (no way to the bucket): what stands beside machines")
