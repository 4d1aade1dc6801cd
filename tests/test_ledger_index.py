"""The command's index of the ledger: it finds, it is never trusted, and it mends itself."""

from __future__ import annotations

import datetime
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from fleet import chain
from fleet.errors import ActError
from fleet.ledger_index import LedgerIndex
from fleet.ledger_tables import FORM, Wanted
from tests.ledger_parts import BEGAN, MINUTE, LedgerInMemory

MACHINE, OTHER, RUN = "i-0123456789abcdef0", "i-0123456789abcdef1", "20261101-000000-abcde"
ANN = {"identity": "arn:console", "asked_by": {"id": "a" * 16, "name": "Ann Lee"}}
BEN = {"identity": "arn:ben", "person": "ben"}


@pytest.fixture
def ledger() -> LedgerInMemory:
    """Seven entries: a run of vision's by Ann, a machine, Ben's environment, a refusal."""
    made = LedgerInMemory()
    made.add(event="environment.up", target="vision", actor=BEN)
    made.add(event="run.submit", target="vision", actor=ANN, details={"run_id": RUN})
    made.add(event="machine.enter", target=MACHINE, actor=BEN, details={"environment": "vision"})
    made.add(event="environment.up", target="speech", actor=BEN)
    made.add(event="environment.down", target="speech", actor=BEN, outcome="refused")
    ran = {"instances": [OTHER, MACHINE, OTHER, "", None]}
    made.add(event="run.ended", target=RUN, actor={"identity": "arn:head"}, details=ran)
    made.add(event="machine.note", target="x", actor=BEN, details={"instance": MACHINE})
    return made


@pytest.fixture
def index(tmp_path: Path, ledger: LedgerInMemory) -> LedgerIndex:
    """An index that is not filled yet."""
    return LedgerIndex(tmp_path / "home" / "index.sqlite3", ledger)


def numbers(index: LedgerIndex, last: int | None = None, **wanted: Any) -> list[int]:
    """Return the numbers of what is found."""
    return [entry["sequence"] for entry in index.find(Wanted(**wanted), last)]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({}, [1, 2, 3, 4, 5, 6, 7]),
        ({"instance": MACHINE}, [3, 6, 7]),
        ({"instance": OTHER}, [6]),
        ({"instance": OTHER[:-1]}, []),
        ({"environment": "vision"}, [1, 2, 3, 6]),
        ({"environment": "speech", "outcome": "refused"}, [5]),
        ({"run": RUN}, [2, 6]),
        ({"person": "ben"}, [1, 3, 4, 5, 7]),
        ({"person": "a" * 16}, [2]),
        ({"person": "Ann Lee"}, [2]),
        ({"person": "arn:head"}, [6]),
        ({"person": "nobody"}, []),
        ({"target": "speech"}, [4, 5]),
        ({"event": "environment.up"}, [1, 4]),
        ({"event": "environment."}, [1, 4, 5]),
        ({"event": "environment"}, []),
        ({"since": BEGAN + 5 * MINUTE}, [5, 6, 7]),
        ({"until": BEGAN + 3 * MINUTE}, [1, 2]),
        ({"since": BEGAN + 2 * MINUTE, "until": BEGAN + 7 * MINUTE, "person": "ben"}, [3, 4, 5]),
        ({"target": "' OR 1 = 1 --"}, []),
    ],
)
def test_it_finds_what_is_asked_for_by_each_filter_and_by_several(
    index: LedgerIndex, wanted: dict[str, Any], found: list[int]
) -> None:
    assert numbers(index, **wanted) == found
    assert numbers(index, 2, **wanted) == found[-2:]


def test_what_it_answers_are_the_ledgers_own_entries(index: LedgerIndex, ledger: LedgerInMemory) -> None:
    assert index.find(Wanted(run=RUN)) == [ledger.chain[1], ledger.chain[5]]


def test_later_questions_fetch_only_what_is_new_and_what_is_found(
    index: LedgerIndex, ledger: LedgerInMemory
) -> None:
    for _ in range(2000):
        ledger.add(actor=ANN)
    assert numbers(index, target="speech") == [4, 5]
    ledger.fetched = 0
    ledger.add(event="environment.down", target="speech", actor=BEN)
    assert numbers(index, target="speech") == [4, 5, 2008]
    assert ledger.fetched == 1 + 1 + 3, "the last one that it knew, the new one, the three that were found"


def test_it_tells_how_far_it_is(index: LedgerIndex) -> None:
    told: list[tuple[int, int]] = []
    index.find(Wanted(), tell=lambda done, total: told.append((done, total)))
    assert told == [(7, 7)]


@pytest.mark.parametrize(
    "damage",
    [
        "DELETE FROM entries WHERE sequence = 3",
        "UPDATE entries SET person = 'ben' WHERE sequence = 2",
        "UPDATE entries SET hash = 'x' WHERE person = 'ben'",
        "UPDATE entries SET at = at + 1 WHERE person = 'ben'",
        "UPDATE state SET head = 'x'",
        "UPDATE state SET sequence = 99",
        "DELETE FROM state",
        "DELETE FROM machines WHERE sequence = 6",
        "UPDATE machines SET sequence = 5 WHERE sequence = 7",
        "UPDATE entries SET instance = '' WHERE person = 'ben'",
        "DROP TABLE entries",
        f"PRAGMA user_version = {FORM + 1}",
    ],
)
def test_an_index_that_says_another_thing_than_the_ledger_is_filled_anew(
    index: LedgerIndex, damage: str
) -> None:
    index.find(Wanted())
    with sqlite3.connect(index.file) as database:
        database.execute(damage)
    database.close()
    assert numbers(index, person="ben") == [1, 3, 4, 5, 7]
    assert numbers(index) == [1, 2, 3, 4, 5, 6, 7]
    assert numbers(index, instance=MACHINE) == [3, 6, 7]


def test_a_file_that_is_no_database_is_thrown_away(index: LedgerIndex) -> None:
    index.file.parent.mkdir(parents=True)
    index.file.write_bytes(b"not a database" * 1000)
    assert numbers(index, target="speech") == [4, 5]


def test_of_another_chain_it_is_filled_anew(index: LedgerIndex, ledger: LedgerInMemory) -> None:
    index.find(Wanted())
    ledger.chain.clear()
    for _ in range(9):
        ledger.add(target="other")
    assert numbers(index, target="other") == [1, 2, 3, 4, 5, 6, 7, 8, 9]
    assert numbers(index, target="speech") == []


def test_a_chain_that_became_shorter_leaves_nothing_behind(
    index: LedgerIndex, ledger: LedgerInMemory
) -> None:
    index.find(Wanted())
    del ledger.chain[4:]
    assert numbers(index, target="speech") == [4]


def test_an_entry_that_the_ledger_lacks_is_not_answered_from_the_index(
    index: LedgerIndex, ledger: LedgerInMemory
) -> None:
    index.find(Wanted())
    gone = ledger.chain.pop(3)
    assert gone["target"] == "speech"
    assert numbers(index, target="speech") == [5]


def test_entries_that_do_not_follow_are_found_all_the_same(
    index: LedgerIndex, ledger: LedgerInMemory
) -> None:
    ledger.chain[2]["target"] = "i-0fffffffffffffff0"
    assert chain.entry_hash(ledger.chain[2]) != ledger.chain[2]["hash"]
    assert numbers(index, instance="i-0fffffffffffffff0") == [3]


def test_several_at_once_fill_it_once(index: LedgerIndex, ledger: LedgerInMemory) -> None:
    for _ in range(1500):
        ledger.add(actor=ANN)

    def ask(_: int) -> list[int]:
        return numbers(LedgerIndex(index.file, ledger), target="speech")

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(ask, range(8))) == [[4, 5]] * 8
    with sqlite3.connect(index.file) as database:
        assert database.execute("SELECT count(*) FROM entries").fetchone() == (1507,)
    database.close()


def test_where_it_cannot_be_kept_that_is_said(tmp_path: Path, ledger: LedgerInMemory) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(ActError, match="can't be kept in"):
        LedgerIndex(tmp_path / "file" / "index.sqlite3", ledger).find(Wanted())
    (tmp_path / "folder.sqlite3").mkdir()
    with pytest.raises(ActError, match="can't be kept in"):
        LedgerIndex(tmp_path / "folder.sqlite3", ledger).find(Wanted())


def test_every_filter_goes_by_its_index(index: LedgerIndex) -> None:
    index.find(Wanted())
    since = datetime.datetime(2026, 11, 1, tzinfo=datetime.UTC)
    filters: dict[str, Callable[[], Wanted]] = {
        "SEARCH machines USING PRIMARY KEY (instance=?)": lambda: Wanted(instance=MACHINE),
        "by_environment": lambda: Wanted(environment="vision"),
        "by_run": lambda: Wanted(run=RUN),
        "by_person": lambda: Wanted(person="ben"),
        "by_target": lambda: Wanted(target="speech"),
        "by_event": lambda: Wanted(event="run."),
        "by_at": lambda: Wanted(since=since),
    }
    with sqlite3.connect(index.file) as database:
        for name, wanted in filters.items():
            parts = list(wanted().conditions())
            where, values = " AND ".join(text for text, _ in parts), [v for _, each in parts for v in each]
            plan = database.execute(
                f"EXPLAIN QUERY PLAN SELECT * FROM entries WHERE {where}", values
            ).fetchall()
            assert name in str(plan), plan
    database.close()
