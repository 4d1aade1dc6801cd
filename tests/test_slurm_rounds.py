"""What the clerk does where Slurm, its disk or a job's own files don't do as they should."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from node.cluster.facts import TeamFacts
from node.instances import Instance
from node.layout import run_key
from node.slurm import office as offices
from node.slurm import tools
from node.slurm.matching import of_team
from node.slurm.orders import NotPossibleError
from node.slurm.tools import NodeState, SlurmError
from node.slurm.words import told
from tests.clerk_by_hand import A_JOB, AWAY, REFUSED, ByHand, book_of, clerk_by_hand

ID, FIRST = "20261122-110000-abcde", "20261122-100000-first"
NODES: dict[str, Any] = {"node_names": "gpu-[1-2]", "started": 2e9}
ARRAY = {"first": 0, "last": 1, "at_once": 0}


@pytest.fixture
def clerk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ByHand:
    """A clerk with an empty book."""
    return clerk_by_hand(tmp_path, monkeypatch)


def make_array(clerk: ByHand, **changes: object) -> None:
    clerk.write(f"{ID}-a0", array_of=ID, array_index=0)
    clerk.write(f"{ID}-a1", array_of=ID, array_index=1)
    clerk.accept(ID, 7, array=ARRAY, **changes)


def test_an_array_after_a_run_that_failed_ends_and_no_task_of_it_is_let_go(clerk: ByHand) -> None:
    clerk.accept(FIRST, 6)
    make_array(clerk, after=[FIRST])
    assert "--dependency=afterok:6" in clerk.called("sbatch")[-1]
    clerk.knows(FIRST, 6, state="FAILED", ended=2e9)
    for index in (0, 1):
        clerk.knows(ID, 7, index, reason="DependencyNeverSatisfied")
    clerk.look()
    assert clerk.called("scancel") == []  # it waits for the word on the first, which is not out yet
    clerk.rounds._mirror._ended_at[FIRST] = float("-inf")
    clerk.look(2)
    why = f"the run {FIRST}, which it comes after, has ended as FAILED"
    assert [clerk.names(run_id) for run_id in (FIRST, f"{ID}-a0", f"{ID}-a1", ID)] == [
        ["QUEUED", "FAILED"], ["QUEUED", "FAILED"], ["QUEUED", "FAILED"], ["QUEUED", "FAILED"],
    ]  # fmt: skip
    assert [clerk.cause(run_id) for run_id in (f"{ID}-a0", f"{ID}-a1", ID)] == [why] * 3
    assert sorted(clerk.called("scancel")) == [["scancel", "7_0"], ["scancel", "7_1"]]
    assert not any("Dependency=" in call for call in clerk.calls)  # which would let it go


def test_a_run_whose_predecessor_is_told_of_late_is_looked_at_until_it_ends(clerk: ByHand) -> None:
    first = clerk.accept(FIRST, 6)
    clerk.accept(ID, 7, after=[FIRST])
    clerk.knows(FIRST, 6, state="RUNNING", **NODES)
    clerk.knows(ID, 7, reason="DependencyNeverSatisfied")
    clerk.look(3)
    assert clerk.called("scontrol") == [["scontrol", "update", "JobId=7", "Dependency=afterok:6"]]
    clerk.office.teller.say(first, "FAILED", {"cause": "x"})
    clerk.office.book.remove(first)
    clerk.look()
    assert clerk.names(ID)[-1] == "FAILED"


def test_a_job_that_is_being_ended_for_good_does_not_end_as_cancelled(clerk: ByHand) -> None:
    clerk.accept(ID, 7, after=[])
    clerk.jobs[:] = [replace(A_JOB, name=ID, reason="DependencyNeverSatisfied")]
    clerk.answers["scancel"] = AWAY  # it was done all the same
    clerk.look()
    clerk.jobs[:] = [replace(A_JOB, name=ID, state="CANCELLED")]
    clerk.look()
    assert clerk.names(ID)[-1] == "FAILED"


def test_the_double_of_a_task_is_cancelled_and_not_its_whole_array(clerk: ByHand) -> None:
    make_array(clerk)
    clerk.knows(ID, 7, 0)
    clerk.knows(ID, 7, 1)
    clerk.jobs.append(replace(clerk.jobs[1], job_id=9, array_job_id=8))
    clerk.answers["scancel"] = SlurmError("scancel", 1, "scancel: error: Invalid job id 8_1")
    clerk.look()  # and survives that the double has just ended
    assert clerk.called("scancel") == [["scancel", "8_1"]]


def test_tasks_of_an_array_that_is_refused_late_end_with_it(clerk: ByHand) -> None:
    for index in (0, 1):
        clerk.write(f"{ID}-a{index}")
    clerk.write(ID, array=ARRAY)
    clerk.answers["sbatch"] = AWAY
    assert clerk.intake.accept(ID, "red")[0]
    clerk.answers["sbatch"] = REFUSED
    clerk.look(2)
    assert clerk.office.book.entries() == []
    for run_id in (ID, f"{ID}-a0", f"{ID}-a1"):
        assert clerk.names(run_id)[-1] == "FAILED" and "RUNNING" not in clerk.names(run_id)
        assert clerk.cause(run_id) == "Slurm refused it: Invalid partition name specified"


def test_a_task_whose_array_is_gone_ends(clerk: ByHand) -> None:
    make_array(clerk)
    array = clerk.office.book.get(ID)
    assert array is not None
    clerk.office.book.remove(array)
    clerk.look(3)
    assert clerk.office.book.entries() == []
    assert clerk.cause(f"{ID}-a1") == "its array is over"


def test_a_job_of_another_team_is_no_runs_whatever_its_name_is(clerk: ByHand) -> None:
    clerk.accept(ID, 7)
    clerk.knows(ID, 7)
    clerk.knows(ID, 8, state="RUNNING", account="blue", **NODES)
    clerk.look()
    assert clerk.names(ID)[-1] == "QUEUED" and clerk.called("scancel") == []
    users = {team: TeamFacts(1, f"ff-{team}", 20001) for team in ("red", "blue")}
    forged = replace(A_JOB, user="ff-blue")
    assert of_team([A_JOB, forged], "red", users, by_user=True) == [A_JOB]
    assert of_team([A_JOB, forged], "red", users, by_user=False) == [A_JOB, forged]


def test_a_damaged_file_of_the_book_keeps_no_other_run_from_going_on(
    clerk: ByHand, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    clerk.accept(ID, 7)
    folder = tmp_path / "var" / "spool" / "fleetform" / "clerk"
    for name, text in (("a", ""), ("b", "[]"), ("c", '{"run_id": "c"}'), ("d", "\0" * 9)):
        (folder / f"{name}.json").write_text(text)
    assert [entry.run_id for entry in book_of(tmp_path).entries()] == [ID]
    assert sorted(file.stem for file in (folder / "damaged").iterdir()) == ["a", "b", "c", "d"]
    assert "its file in the book is damaged" in capfd.readouterr().err


def test_an_entry_that_was_struck_out_is_not_written_again(clerk: ByHand, tmp_path: Path) -> None:
    entry = clerk.accept(ID, 7)
    clerk.office.book.remove(entry)
    clerk.office.book.save(entry, durable=True)
    assert clerk.office.book.get(ID) is None and book_of(tmp_path).entries() == []


@pytest.mark.parametrize("left", [b"[]", b"{", b'{"exit_code": {}}', b'{"launched": 7, "boot": 3}'])
def test_a_run_ends_whatever_its_job_has_left(clerk: ByHand, left: bytes) -> None:
    clerk.accept(ID, 7)
    clerk.knows(ID, 7, state="RUNNING", **NODES)
    clerk.look()
    for name in ("outputs/node-0.json", "batch.json", "summary.json", "goodput.json", "metrics.jsonl"):
        clerk.bucket.put(run_key(ID, name), left)
    clerk.jobs[:] = [replace(clerk.jobs[0], state="COMPLETED", ended=2e9 + 5)]
    clerk.look()
    assert clerk.names(ID)[-1] == "SUCCEEDED"
    receipt = json.loads(clerk.bucket.bodies[run_key(ID, "receipt.json")])
    assert (receipt["outcome"], receipt["cost"]["node_seconds"]) == ("SUCCEEDED", 10.0)


def test_a_first_execution_is_believed_whatever_the_nodes_clock_says(clerk: ByHand) -> None:
    entry = clerk.accept(ID, 7)
    job = replace(A_JOB, state="FAILED", started=2e9)
    record = {"job_id": 7, "ended": "x", "started": "2026-11-22T11:00:00.000Z", "verdict": "FAILED"}
    found = told({**record, "cause": "node 1: oom"}, entry, job)
    assert found is not None and found.cause == "node 1: oom"
    entry.requeues = 1
    assert told(record, entry, job) is None
    assert told({"job_id": 7, "ended": 1, "verdict": []}, entry, job) is None


def test_a_job_whose_start_failed_is_released_with_growing_pauses_and_then_fails(
    clerk: ByHand, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [1000.0]
    monkeypatch.setattr("node.slurm.orders.time.monotonic", lambda: clock[0])
    clerk.accept(ID, 7)
    clerk.knows(ID, 7, reason="launch failed requeued held", priority=0)
    clerk.look(3)
    assert clerk.called("scontrol") == [["scontrol", "release", "7"]]
    assert clerk.cause(ID) == "its start failed, and is tried again"
    for _ in range(20):
        clock[0] += 60
        clerk.look()
    assert len(clerk.called("scontrol", "release")) == 6
    assert clerk.names(ID)[-1] == "FAILED" and "launch failed" in clerk.cause(ID)


def test_a_hold_that_slurm_did_not_hear_is_done_as_soon_as_it_does(clerk: ByHand) -> None:
    entry = clerk.accept(ID, 7)
    clerk.knows(ID, 7)
    clerk.answers["scontrol"] = AWAY
    clerk.orders.hold(entry)
    assert entry.held
    clerk.answers.clear()
    clerk.look()
    assert clerk.called("scontrol") == [["scontrol", "hold", "7"]] * 2
    clerk.jobs[:] = [replace(A_JOB, name=ID, reason="JobHeldUser", priority=0)]
    clerk.look()
    assert not entry.hold_due and clerk.cause(ID) == "held"


def test_a_hold_that_slurm_refuses_is_none(clerk: ByHand) -> None:
    entry = clerk.accept(ID, 7)
    clerk.answers["scontrol"] = SlurmError("scontrol", 1, "Job is no longer pending execution")
    with pytest.raises(SlurmError):
        clerk.orders.hold(entry)
    assert (entry.held, entry.hold_due) == (False, False)
    entry.placed, entry.said = [{"node": "gpu-1"}], "RUNNING"
    with pytest.raises(NotPossibleError):
        clerk.orders.hold(entry)


def test_only_the_tasks_of_an_array_that_wait_are_held(clerk: ByHand) -> None:
    make_array(clerk)
    clerk.knows(ID, 7, 0, state="RUNNING", **NODES)
    clerk.knows(ID, 7, 1)
    clerk.look()
    array = clerk.office.book.get(ID)
    assert array is not None
    clerk.answers["scontrol"] = SlurmError("scontrol", 1, "Job is no longer pending execution")
    clerk.orders.hold(array)
    assert [task.held for task in clerk.office.book.tasks_of(ID)] == [False, True]
    clerk.answers.clear()
    clerk.look()
    assert clerk.called("scontrol")[-1] == ["scontrol", "hold", "7_1"]


def test_a_run_that_somebody_ended_is_not_submitted_again_when_slurm_has_lost_its_job(clerk: ByHand) -> None:
    clerk.accept(ID, 7)
    key = run_key(ID, "events.jsonl")
    line = {"time": "2026-11-22T12:00:00.000Z", "event": "FAILED", "detail": {"cause": "lost"}}
    clerk.bucket.bodies[key] += json.dumps(line).encode() + b"\n"
    clerk.look(3)
    assert len(clerk.called("sbatch")) == 1
    assert clerk.office.book.entries() == [] and clerk.cause(ID) == "lost"


def test_the_job_of_a_run_that_somebody_ended_is_cancelled_also_where_slurm_is_away_at_first(
    clerk: ByHand,
) -> None:
    clerk.accept(ID, 7)
    key = run_key(ID, "events.jsonl")
    clerk.bucket.bodies[key] += b'{"time": "2026-11-22T12:00:00.000Z", "event": "FAILED", "detail": {}}\n'
    clerk.knows(ID, 7, state="RUNNING", **NODES)
    clerk.answers["scancel"] = AWAY
    clerk.look()
    assert clerk.office.book.get(ID) is not None
    clerk.answers.clear()
    clerk.look()
    assert clerk.called("scancel") == [["scancel", "7"]] * 2 and clerk.office.book.entries() == []


def test_machines_that_waited_in_vain_for_the_others_count(clerk: ByHand) -> None:
    entry = clerk.accept(ID, 7)
    clerk.knows(ID, 7, state="CONFIGURING", node_names="gpu-[2-3]", started=2e9)
    clerk.look()
    clerk.jobs[:] = [replace(A_JOB, name=ID, reason="BeginTime", submitted=2e9 + 30)]
    clerk.look()
    assert entry.node_seconds == 30.0  # gpu-2 had come, gpu-3 had not


@pytest.mark.parametrize("away", [("IDLE", "POWERED_DOWN"), ("DOWN", "NOT_RESPONDING")])
def test_a_run_is_on_the_machine_that_has_its_nodes_name_now_and_not_on_the_one_before(
    clerk: ByHand, monkeypatch: pytest.MonkeyPatch, away: tuple[str, str]
) -> None:
    def look_at(state: str, *flags: str) -> None:
        nodes = [NodeState(f"gpu-{each}", state, frozenset(flags), "", "") for each in (1, 2)]
        monkeypatch.setattr(tools, "nodes", lambda names="": nodes)
        clerk.rounds._nodes_at = float("-inf")
        clerk.look()

    monkeypatch.setattr(offices, "_MACHINES_SECONDS", -1.0)
    look_at("IDLE")
    clerk.machines.clear()
    look_at(*away)
    clerk.machines |= {f"gpu-{n}": Instance(f"i-new-{n}", f"10.0.1.{n}", "g5.12xlarge") for n in (1, 2)}
    entry = clerk.accept(ID, 7)
    clerk.knows(ID, 7, state="RUNNING", **NODES)
    look_at("ALLOCATED")
    assert [each["instance_id"] for each in entry.placed] == ["i-new-1", "i-new-2"]
