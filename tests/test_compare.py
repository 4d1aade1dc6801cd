"""Runs beside each other: what differs, what came of it, and no winner where there is none."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fleet.cloud import Cloud
from fleet.compare import Comparison, Result, compare
from fleet.run_store import RunStore
from scripts.compare_output import comparison_lines
from stacks.problems import UserError
from tests.run_directories import ENDED, make, new_store, put

pytestmark = pytest.mark.sandbox
A, B, C = (f"2026010{day}-000000-aaaaa" for day in (1, 2, 3))
DATA = {"name": "digits", "sha256": "d" * 64}


@pytest.fixture
def store(sandbox: Cloud) -> RunStore:
    return new_store(sandbox)


def trained(
    store: RunStore, run_id: str, *, accuracy: float, reach: tuple[float, float] | None = None,
    seconds: float = 10, samples: int = 640, usd: float | None = 0.5, **request: Any,
) -> None:  # fmt: skip
    """Write a run that trained and says how well."""
    make(store, run_id, *ENDED, **{"job_digest": "j", "dataset": DATA, "overrides": [], **request})
    metrics = {"value": accuracy, **({"low": reach[0], "high": reach[1]} if reach else {})}
    summary = {"samples": samples, "train_seconds": seconds, "metrics": {"accuracy": accuracy}}
    store.put(run_id, "summary.json", summary)
    store.put(run_id, "evaluation.json", {"metrics": {"accuracy": metrics}})
    store.put(run_id, "receipt.json", {"seconds": {"total": seconds + 5}, "cost": {"usd": usd}})
    lines = [{"step": step, "time": f"2026-01-01T00:00:0{step}Z", "loss": 1 / step} for step in (1, 2)]
    put(store, run_id, "metrics.jsonl", b"".join(json.dumps(line).encode() + b"\n" for line in lines))


def result(found: Comparison, name: str) -> Result:
    return next(each for each in found.results if each.name == name)


def test_what_differs_is_told_from_what_does_not(store: RunStore) -> None:
    trained(store, A, accuracy=0.9, overrides=["learning_rate=0.1", "seed=1"])
    trained(store, B, accuracy=0.9, overrides=["seed=1"], nodes=2)
    found = compare(store, [A, B])
    assert {each.name: each.values for each in found.settings if each.differs} == {
        "learning_rate": ("0.1", ""),
        "nodes": ("1", "2"),
    }
    assert {each.name for each in found.settings if not each.differs} >= {"program", "data", "seed"}
    assert found.same_job


def test_the_better_figures_are_marked_each_in_its_own_way(store: RunStore) -> None:
    trained(store, A, accuracy=0.80, seconds=20, usd=0.4)
    trained(store, B, accuracy=0.95, seconds=10, usd=0.6)
    found = compare(store, [A, B])
    assert {each.name: each.best for each in found.results} == {
        "accuracy": (1,), "loss": (), "train_seconds": (1,), "seconds": (1,), "usd": (0,),
    }  # fmt: skip


def test_no_run_is_better_where_the_intervals_overlap(store: RunStore) -> None:
    trained(store, A, accuracy=0.94, reach=(0.92, 0.96))
    trained(store, B, accuracy=0.95, reach=(0.93, 0.97))
    trained(store, C, accuracy=0.80, reach=(0.77, 0.83))
    assert result(compare(store, [A, B]), "accuracy").best == ()
    assert result(compare(store, [A, B, C]), "accuracy").best == (0, 1)


def test_metrics_on_other_data_and_times_of_other_work_have_no_best(store: RunStore) -> None:
    trained(store, A, accuracy=0.80, seconds=10)
    trained(store, B, accuracy=0.95, seconds=20, samples=1280, dataset={**DATA, "sha256": "e" * 64})
    found = compare(store, [A, B])
    assert {each.name for each in found.results if each.best} == set()
    assert [figure and figure.value for figure in result(found, "accuracy").figures] == [0.80, 0.95]


def test_a_run_that_has_told_nothing_yet_stands_beside_those_that_have(store: RunStore) -> None:
    trained(store, A, accuracy=0.9)
    make(store, B, "QUEUED")
    found = compare(store, [A, B])
    assert [numbers is not None for numbers in found.numbers] == [True, False]
    assert result(found, "accuracy").figures[1] is None
    assert not any(each.best for each in found.results)
    assert not found.same_job


@pytest.mark.parametrize("summary", [b"[]", b"{", b'{"metrics": 7, "mfu": [], "train_seconds": "soon"}'])
def test_files_that_a_script_has_written_in_its_own_way_are_no_error(store: RunStore, summary: bytes) -> None:
    for run_id in (A, B):
        trained(store, run_id, accuracy=0.9)
        put(store, run_id, "summary.json", summary)
        put(store, run_id, "evaluation.json", summary)
    assert [each.name for each in compare(store, [A, B]).results] == ["loss", "seconds", "usd"]


def test_every_mistake_is_named_at_once(store: RunStore) -> None:
    make(store, A, *ENDED)
    with pytest.raises(UserError) as caught:
        compare(store, [A, "nobody", "nothing"])
    assert [problem.what.split(" in ")[0] for problem in caught.value.problems] == [
        "there is no run 'nobody'", "there is no run 'nothing'",
    ]  # fmt: skip
    for named in ([A], [A] * 2, [A] * 9):
        with pytest.raises(UserError, match=r"one run alone|named twice|9 runs can't"):
            compare(store, named)


def test_the_command_prints_runs_as_columns(store: RunStore) -> None:
    trained(store, A, accuracy=0.80, reach=(0.78, 0.82), overrides=["learning_rate=0.1"])
    trained(store, B, accuracy=0.95, reach=(0.94, 0.96))
    text = "\n".join(comparison_lines(compare(store, [A, B])))
    assert text.splitlines()[0].split() == [A, B]
    rows = {line.split("  ")[0]: line for line in text.splitlines()}
    assert rows["learning_rate"].split() == ["learning_rate", "0.1", "-"]
    assert "0.95 (0.94 to 0.96) *" in rows["accuracy"] and "0.8 (0.78 to 0.82) " in rows["accuracy"]
    assert "they are one job, but for its length and its processes" in text
