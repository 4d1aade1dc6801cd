"""The index of runs: pages without reading everything; new runs are found, resumed ones noticed."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from fleet import run_index
from fleet.cloud import Cloud
from fleet.run_control import settle_all
from fleet.run_index import RunIndex, Where
from fleet.run_store import RunStore, by_time, is_task
from tests.run_directories import ENDED, Ledger, make, new_store, put

pytestmark = pytest.mark.sandbox
FAILED = ("QUEUED", "PROVISIONING", "RUNNING", "FAILED")
RUNNING = ("QUEUED", "PROVISIONING", "RUNNING")


@pytest.fixture
def store(sandbox: Cloud) -> RunStore:
    return new_store(sandbox)


class Requests:
    """Counts what a store asks S3 for."""

    def __init__(self, store: RunStore) -> None:
        self.counted: Counter[str] = Counter()
        store.s3.meta.events.register("before-call.s3", self._count)

    def _count(self, model: Any, **about: Any) -> None:
        self.counted[model.name] += 1

    def since(self) -> dict[str, int]:
        """Return how many of each there were since the last call."""
        found = dict(self.counted)
        self.counted.clear()
        return found


def ids(*days: int) -> list[str]:
    return [f"202601{day:02d}-000000-aaaaa" for day in days]


def shown(index: RunIndex, **asked: Any) -> list[str]:
    return [run.run_id for run in index.page(**asked).runs]


def resume(store: RunStore, run_id: str) -> None:
    """Do what fleet/resume.py does to the run's directory."""
    found = store.read(run_id, "run.json")
    assert found is not None
    assert store.replace(run_id, "run.json", {**json.loads(found[0]), "attempt": 2}, found[1])


def test_pages_follow_each_other_without_a_gap_and_without_repeating(store: RunStore) -> None:
    for run_id in ids(*range(1, 8)):
        make(store, run_id, *ENDED)
    index = RunIndex(store)
    index.refresh()
    first = index.page(limit=3)
    second = index.page(before=first.older, limit=3)
    third = index.page(before=second.older, limit=3)
    assert [run.run_id for page in (first, second, third) for run in page.runs] == ids(*range(7, 0, -1))
    assert third.older == ""
    assert index.page(limit=7).older == ""


def test_a_page_begins_where_it_should_though_the_run_before_it_is_gone(store: RunStore) -> None:
    for run_id in ids(1, 2, 4):
        make(store, run_id, *ENDED)
    index = RunIndex(store)
    index.refresh()
    assert shown(index, before=ids(3)[0]) == ids(2, 1)
    assert shown(index, before="../../x\r\n") == []


def test_an_index_starts_by_reading_the_newest_runs_alone(
    store: RunStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for run_id in ids(*range(1, 10)):
        make(store, run_id, *ENDED)
    monkeypatch.setattr(run_index, "_NEWEST", 2)
    requests, index = Requests(store), RunIndex(store)
    index.refresh()
    assert requests.since() == {"ListObjectsV2": 1, "GetObject": 4}
    assert [run.run_id for run in index.known()] == ids(9, 8)
    assert index.read_more(3) == 4
    assert [run.run_id for run in index.known()] == ids(9, 8, 7, 6, 5)
    assert len(shown(index)) == 9


def test_what_has_succeeded_is_never_read_again(store: RunStore) -> None:
    for run_id in ids(1, 2, 3):
        make(store, run_id, *ENDED)
    index = RunIndex(store)
    index.refresh()
    requests = Requests(store)
    index.refresh()
    assert shown(index) == ids(3, 2, 1)
    assert requests.since() == {"ListObjectsV2": 1}


def test_a_run_that_goes_on_is_read_again_and_a_new_one_is_found(store: RunStore) -> None:
    make(store, ids(1)[0], *RUNNING)
    index = RunIndex(store)
    index.refresh()
    assert [run.state for run in index.page().runs] == ["RUNNING"]
    make(store, ids(1)[0], *ENDED)
    make(store, ids(2)[0])
    index.refresh()
    assert [run.state for run in index.page().runs] == ["SUBMITTED", "SUCCEEDED"]


def test_a_run_that_comes_later_than_newer_ones_is_found(store: RunStore) -> None:
    """A run has its id before its data is uploaded."""
    make(store, "20260110-120000-aaaaa", *ENDED)
    index = RunIndex(store)
    index.refresh()
    make(store, "20260110-060000-aaaaa", *ENDED)
    index.refresh()
    assert shown(index) == ["20260110-120000-aaaaa", "20260110-060000-aaaaa"]


def test_a_resumed_run_is_noticed_though_it_had_ended(store: RunStore) -> None:
    for run_id in ids(1, 2, 3):
        make(store, run_id, *FAILED)
    index = RunIndex(store)
    index.refresh()
    resume(store, ids(1)[0])
    index.look_round()
    assert [(run.state, run.attempt) for run in index.page().runs] == [
        ("FAILED", 1), ("FAILED", 1), ("SUBMITTED", 2),
    ]  # fmt: skip


def test_ended_runs_are_looked_at_in_turn_until_every_one_was(
    store: RunStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_index, "_AGAIN", 2)
    for run_id in ids(1, 2, 3, 4, 5):
        make(store, run_id, *FAILED)
    index = RunIndex(store)
    index.refresh()
    for run_id in ids(1, 2, 3, 4, 5):
        resume(store, run_id)
    for resumed in (2, 4, 5):
        index.look_round()
        assert sum(run.attempt == 2 for run in index.known()) == resumed


def test_a_folder_without_a_request_is_no_run_until_it_has_one(store: RunStore) -> None:
    put(store, ids(1)[0], "launch.sh", b"")
    index = RunIndex(store)
    index.refresh()
    assert shown(index) == []
    make(store, ids(1)[0])
    index.refresh()
    assert shown(index) == ids(1)


def test_filters_find_what_was_asked_for_and_say_where_to_go_on(
    store: RunStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_index, "_NEWEST", 1)
    monkeypatch.setattr(run_index, "_BATCH", 2)
    monkeypatch.setattr(run_index, "_MOST_READS", 4)
    kim = "arn:aws:sts::1:assumed-role/lab-member/kim"
    lee = "arn:aws:iam::1:user/lee"
    for day, run_id in enumerate(ids(*range(1, 10)), 1):
        make(store, run_id, *(FAILED if day == 1 else ENDED), actor=kim if day % 2 else lee)
    index = RunIndex(store)
    index.refresh()
    where = Where(states=frozenset({"FAILED"}))
    pages = [index.page(where=where)]
    while pages[-1].older:
        pages.append(index.page(before=pages[-1].older, where=where))
    assert [page.older for page in pages] == [*ids(6), *ids(2), ""]
    assert [run.run_id for page in pages for run in page.runs] == ids(1)
    assert shown(index, where=Where(person="kim")) == ids(9, 7, 5, 3, 1)
    assert shown(index, where=Where(person=kim, active=True)) == []
    assert shown(index, where=Where(person="ki")) == []


def test_tasks_are_shown_as_their_array_or_each_by_itself(store: RunStore) -> None:
    array = "blue-20260101-000000-aaaaa"
    make(store, array, *RUNNING, array={"first": 0, "last": 10})
    for index in (0, 2, 10):
        make(store, f"{array}-a{index}", *ENDED, array_of=array)
    make(store, "20260102-000000-aaaaa", *ENDED)
    found = RunIndex(store)
    found.refresh()
    assert shown(found, where=Where(tasks=False)) == ["20260102-000000-aaaaa", array]
    tasks = [f"{array}-a{index}" for index in (10, 2, 0)]
    assert shown(found) == ["20260102-000000-aaaaa", *tasks, array]
    assert [run.run_id for run in found.tasks_of(array)] == tasks[::-1]


def test_runs_of_the_teams_that_may_be_seen_are_shown_alone(store: RunStore) -> None:
    make(store, "20260101-000000-aaaaa", *ENDED, team="red")
    make(store, "blue-20260102-000000-aaaaa", *ENDED, team="blue")
    index = RunIndex(store)
    index.refresh()
    assert shown(index, where=Where(teams=frozenset({"red"}))) == ["20260101-000000-aaaaa"]
    assert shown(index, where=Where(teams=frozenset())) == []


def test_ids_from_a_time_on_are_those_of_every_team(store: RunStore) -> None:
    old = ["20260101-000000-aaaaa", "blue-20260101-000000-aaaaa", "red-20260101-000000-aaaaa"]
    new = ["blue-20260302-000000-aaaaa", "20260301-000000-aaaaa"]
    for run_id in (*old, *new):
        make(store, run_id)
    put(store, ".speedup", "point.json", b"{}")
    assert store.run_ids("20260301-000000") == new
    assert store.run_ids() == [*new, *sorted(old, key=by_time, reverse=True)]
    of_blue = RunStore(store.cloud, store.region, store.bucket, "blue")
    assert of_blue.run_ids("20260301") == new[:1]
    requests = Requests(store)
    store.run_ids("20260301")
    assert requests.since() == {"ListObjectsV2": 3}  # one, and one more for each team


def test_what_a_task_is_shows_in_its_id() -> None:
    assert is_task("blue-20260101-000000-aaaaa-a12")
    assert not is_task("20260101-000000-aaaaa")


def test_the_next_index_on_this_machine_reads_no_ended_run_again(store: RunStore, tmp_path: Path) -> None:
    make(store, ids(1)[0], *ENDED)
    make(store, ids(2)[0], *FAILED)
    make(store, ids(3)[0], *RUNNING, submitted="2999-01-01T00:00:00.000Z")
    path, ledger = tmp_path / "runs/lab.jsonl", Ledger()
    before = settle_all(store, ledger, RunIndex(store, path))
    assert len(ledger.entries) == 2
    assert path.stat().st_mode & 0o077 == 0
    requests = Requests(store)
    assert settle_all(store, ledger, RunIndex(store, path)) == before
    # The ids; the run that lasts (twice: its `run.json` tells whether it is lost, and its submission); the
    # failed one's `run.json`, which has not changed.
    assert requests.since() == {"ListObjectsV2": 1, "GetObject": 5}
    assert len(ledger.entries) == 2


def test_a_run_resumed_since_the_last_command_is_settled_again(store: RunStore, tmp_path: Path) -> None:
    make(store, ids(1)[0], *FAILED)
    ledger = Ledger()
    settle_all(store, ledger, RunIndex(store, tmp_path / "lab.jsonl"))
    resume(store, ids(1)[0])
    events = store.get(ids(1)[0], "events.jsonl") or b""
    put(store, ids(1)[0], "events.jsonl", events * 2)
    (run,) = settle_all(store, ledger, RunIndex(store, tmp_path / "lab.jsonl"))
    assert (run.attempt, run.state) == (2, "FAILED")
    assert len(ledger.entries) == 2


@pytest.mark.parametrize(
    "text", ["", "[", '{"format": 1, "runs": 1}\n{}', '{"format": 1, "runs": 2}\n{}', "\0"]
)
def test_a_damaged_memory_is_as_good_as_none(store: RunStore, tmp_path: Path, text: str) -> None:
    make(store, ids(1)[0], *ENDED)
    path = tmp_path / "lab.jsonl"
    path.write_text(text)
    index = RunIndex(store, path)
    index.refresh()
    assert shown(index) == ids(1)


def test_a_run_that_is_remembered_and_deleted_is_shown_to_nobody(store: RunStore, tmp_path: Path) -> None:
    make(store, ids(1)[0], *ENDED)
    make(store, ids(2)[0], *ENDED)
    path = tmp_path / "lab.jsonl"
    settle_all(store, Ledger(), RunIndex(store, path))
    for name in store.sizes(ids(1)[0]):
        store.delete(ids(1)[0], name)
    index = RunIndex(store, path)
    index.refresh()
    assert shown(index) == ids(2)
    assert index.look_at(ids(1)[0]) is None
