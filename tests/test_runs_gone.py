"""Where a teardown has deleted runs with their bucket, the cost report says what the ledger still proves."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import pytest

from fleet.cloud import Cloud
from fleet.costs import read
from fleet.costs.amounts import milliseconds
from fleet.costs.prices import Prices
from fleet.costs.read import read_facts
from fleet.costs.runs_gone import RunsGone, runs_gone
from fleet.ledger_tables import Wanted
from fleet.project import Project
from fleet.run_store import RunStore
from fleet.session import Session
from stacks import naming
from tests.environment_parts import make_specs

SINCE = datetime.datetime(2025, 3, 1, tzinfo=datetime.UTC)
NOW = datetime.datetime(2025, 3, 20, tzinfo=datetime.UTC)
BASE, FLEET = naming.base_stack("vision"), naming.fleet_stack("vision")


def entry(day: int, event: str, target: str, outcome: str = "succeeded", **details: Any) -> dict[str, Any]:
    time = f"2025-03-{day:02}T10:00:00.000Z"
    return {
        "time": time,
        "event": event,
        "target": target,
        "outcome": outcome,
        "actor": {},
        "details": details,
    }


def submitted(day: int, run: str) -> dict[str, Any]:
    return entry(day, "run.submit", "vision", run_id=run)


def ended(day: int, run: str, seconds: float | None) -> dict[str, Any]:
    cost = None if seconds is None else {"node_seconds": seconds, "usd": 1.0}
    return entry(day, "run.ended", run, "recorded", ended=f"2025-03-{day:02}T09:00:00Z", cost=cost)


RUNS = [
    submitted(2, "r-1"), ended(3, "r-1", 3600.0), ended(4, "r-1", 1800.0),
    submitted(3, "r-2"), submitted(4, "r-3"), ended(5, "r-3", 36000.0),
    entry(5, "run.submit", "vision", "refused", run_id="r-4"),
]  # fmt: skip
BUILT = entry(1, "environment.up", "vision", stacks={BASE: {}, FLEET: {}})


def found(known: tuple[str, ...] = ()) -> RunsGone | None:
    return runs_gone(RUNS, known, milliseconds(SINCE), milliseconds(NOW))


def test_what_the_ledger_proves_of_runs_without_a_directory_is_added_up_over_their_attempts() -> None:
    assert found() == RunsGone(runs=3, node_seconds=41400.0, unknown=1)
    assert found(("r-3",)) == RunsGone(runs=2, node_seconds=5400.0, unknown=1)
    assert str(found(("r-2", "r-3"))) == (
        "the directories of runs that the ledger has (1) were deleted with the artifact bucket: their 1.5 "
        "machine-hours count as idle or not at all; an evidence pack made before has who used them "
        "(costs.json)"
    )
    assert "11.5 machine-hours, and of 1 nobody knows how long count" in str(found())


def test_where_every_run_has_its_directory_or_none_was_started_nothing_is_said() -> None:
    assert found(("r-1", "r-2", "r-3")) is None
    late = milliseconds(NOW)
    assert runs_gone(RUNS, (), late, late + 1) is None, "they were of another time"


@pytest.mark.parametrize("cost", [None, 7, {"node_seconds": "much"}])
def test_an_end_that_tells_no_time_counts_as_a_run_all_the_same(cost: object) -> None:
    odd = [{**ended(3, "r-9", None), "details": {"cost": cost, "ended": "2025-03-03T09:00:00Z"}}]
    assert runs_gone(odd, (), milliseconds(SINCE), milliseconds(NOW)) == RunsGone(1, 0.0, 0)


class Shelf(RunStore):
    """An artifact bucket that holds no run."""

    def run_ids(self, since: str = "") -> list[str]:
        """Return none."""
        return []


class NoMachines:
    """EC2 that has forgotten all machines."""

    def get_paginator(self, name: str) -> NoMachines:
        return self

    def paginate(self, **request: Any) -> list[dict[str, Any]]:
        return [{"Reservations": []}]


class Office(Session):
    """A session whose cloud knows no machine any more."""

    def client(self, service: str) -> Any:
        assert service == "ec2"
        return NoMachines()


@pytest.mark.parametrize(
    ("destroyed", "told"), [([FLEET, BASE], True), ([FLEET], False)], ids=["base", "fleet alone"]
)
def test_the_report_says_it_where_the_base_was_torn_down(
    tmp_path: Path, destroyed: list[str], told: bool
) -> None:
    account, spec = make_specs("vision", {"gpu": {"nodes": 1, "max_nodes": 1}})
    session = Office(Project(root=tmp_path, home=tmp_path), Cloud("drawn"), account, spec)
    history = [BUILT, entry(6, "environment.down", "vision", destroyed=destroyed)]
    facts = read_facts(
        session, Prices(spec.region, None), SINCE, NOW, history=lambda each: (history, ()),
        on_record=lambda each: RUNS, runs=Shelf(session.cloud, spec.region, "shelf"),
    )  # fmt: skip
    assert (str(found()) in facts.notes) is told


def test_the_index_of_the_ledger_is_asked_for_the_environment_s_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = list[Wanted]()

    class Index:
        def __init__(self, file: Path, ledger: Any) -> None:
            pass

        def find(self, wanted: Wanted) -> list[dict[str, Any]]:
            asked.append(wanted)
            return RUNS

    class Recorded(Office):
        @property
        def ledger(self) -> Any:  # type: ignore[override]
            return type("Book", (), {"bucket": "drawn"})()

    account, spec = make_specs("vision", {"gpu": {"nodes": 1, "max_nodes": 1}})
    monkeypatch.setattr(read, "LedgerIndex", Index)
    session = Recorded(Project(root=tmp_path, home=tmp_path), Cloud("drawn"), account, spec)
    assert read.read_runs_on_record(session) == RUNS
    assert asked == [Wanted(environment="vision", event="run.")]
