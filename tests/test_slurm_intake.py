"""Runs on their way into the queue, and what they leave for others: a clerk by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from node import receipt
from node.layout import run_key, speedup_key
from node.slurm import teller
from node.slurm.submitter import Submitter
from node.watch import Verdict
from tests.clerk_by_hand import ByHand, clerk_by_hand

ID, BLUE = "20261122-110000-abcde", "blue-20261122-110000-abcde"
DIGEST = "ab" * 32
ARRAY = {"first": 0, "last": 1, "at_once": 0}


@pytest.fixture
def clerk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ByHand:
    """A clerk with an empty book."""
    return clerk_by_hand(tmp_path, monkeypatch)


@pytest.mark.parametrize("array", [None, ARRAY])
def test_a_run_that_was_cancelled_on_its_way_is_not_carried_out(
    clerk: ByHand, array: dict[str, int] | None
) -> None:
    clerk.write(ID, array=array)
    clerk.bucket.put(run_key(ID, "cancel.json"), b'{"actor": "ann"}')
    why = "cancelled by ann before it was queued"
    assert clerk.intake.accept(ID, "red") == (False, f"{ID} was {why}")
    for each in (ID, *([f"{ID}-a0", f"{ID}-a1"] if array else [])):
        assert (clerk.names(each), clerk.cause(each)) == (["CANCELLED"], why)
    assert clerk.calls == [] and clerk.office.book.get(ID) is None


@pytest.mark.parametrize(
    ("run_id", "digest", "written"),
    [(ID, DIGEST, True), (BLUE, DIGEST, False), (ID, "../" + DIGEST, False)],
)
def test_only_the_environment_s_own_team_measures_for_others(
    clerk: ByHand, monkeypatch: pytest.MonkeyPatch, run_id: str, digest: str, written: bool
) -> None:
    monkeypatch.setattr(teller, "slurm_receipt", lambda *about: {"speedup": {}})
    monkeypatch.setattr(receipt, "point_of", lambda *about: {"points": []})
    entry = clerk.accept(ID, 7)
    entry.run_id, entry.times["ended"] = run_id, "2026-11-22T12:00:00.000Z"
    clerk.write(run_id, job_digest=digest)
    clerk.office.teller._write_whole_receipt(entry, Verdict("SUCCEEDED", ""))
    assert json.loads(clerk.bucket.bodies[run_key(run_id, "receipt.json")]) == {"speedup": {}}
    assert (speedup_key(digest, one=True) in clerk.bucket.bodies) is written


def test_a_receipt_tells_of_no_other_run_whatever_became_of_run_json(clerk: ByHand) -> None:
    entry = clerk.accept(ID, 7)
    key = run_key(ID, "run.json")
    clerk.bucket.put(key, json.dumps(json.loads(clerk.bucket.bodies[key]) | {"run_id": BLUE}).encode())
    ledger = {"wall_seconds": 9.0, "goodput_percent": 5.0, "buckets": {}, "lost_steps": 0, "until": 1.0}
    clerk.bucket.put(run_key(BLUE, "goodput.json"), json.dumps(ledger).encode())
    clerk.office.teller.finish(entry, Verdict("SUCCEEDED", ""))
    found = json.loads(clerk.bucket.bodies[run_key(ID, "receipt.json")])
    assert (found["run_id"], found["goodput"]) == (ID, None)
    assert run_key(BLUE, "receipt.json") not in clerk.bucket.bodies


def test_an_array_whose_tasks_all_have_jobs_gets_no_job_of_its_own(clerk: ByHand) -> None:
    array = clerk.accept(ID, 7, array=ARRAY)
    clerk.calls.clear()
    assert clerk.office.book.tasks_of(ID) and Submitter(clerk.office).submit(array)
    assert clerk.calls == []
