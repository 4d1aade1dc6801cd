"""Runs read back from their directories: how they stand, what is safe, what is fetched, what is followed."""

from __future__ import annotations

import json
import threading
import time
import uuid
from pathlib import Path
from typing import Any

import pytest

from fleet import follow, lost, run_control
from fleet.cloud import Cloud
from fleet.errors import ActError
from fleet.fetch import fetch
from fleet.lost import is_lost
from fleet.run_control import cancel, end_lost_holders, settle, settle_all
from fleet.run_store import RunStore
from fleet.runs import active_runs, left_out, list_runs, outputs_safe, read_run
from fleet.tail import EventSeen, LogText
from scripts.run_output import LogPrinter, duration
from stacks import naming
from stacks.problems import UserError
from tests.run_directories import ENDED, NODE, Ledger, bring_home, make, new_store, put
from tests.sandbox_helpers import IMAGE

pytestmark = pytest.mark.sandbox


@pytest.fixture
def store(sandbox: Cloud) -> RunStore:
    return new_store(sandbox)


def test_runs_are_listed_newest_first_with_their_last_event(store: RunStore) -> None:
    make(store, "20260101-a", *ENDED)
    make(store, "20260102-b", "QUEUED", "PROVISIONING", "RUNNING")
    make(store, "20260103-c")
    assert [(run.run_id, run.state, run.active) for run in list_runs(store)] == [
        ("20260103-c", "SUBMITTED", True),
        ("20260102-b", "RUNNING", True),
        ("20260101-a", "SUCCEEDED", False),
    ]
    assert [run.run_id for run in active_runs(store)] == ["20260103-c", "20260102-b"]


def test_a_bucket_that_is_not_there_holds_no_runs(sandbox: Cloud) -> None:
    assert list_runs(RunStore(sandbox, "us-east-1", "no-such-bucket-anywhere")) == []


def test_a_run_s_times_come_from_its_events(store: RunStore) -> None:
    make(store, "a", "QUEUED", "PROVISIONING", "RUNNING", "FAILED")
    run = read_run(store, "a")
    assert run.started == "2026-01-01T00:00:02.000Z"
    assert run.seconds == 1.0
    assert run.cause == "node 0: exit code 1"
    assert run.placed == (NODE,)


def test_an_unknown_run_is_refused_with_the_nearest_id(store: RunStore) -> None:
    make(store, "20260101-000000-abcde", *ENDED)
    with pytest.raises(UserError, match="did you mean '20260101-000000-abcde'"):
        read_run(store, "20260101")


def test_outputs_are_safe_when_all_that_a_node_lists_is_there(store: RunStore) -> None:
    make(store, "a", *ENDED)
    bring_home(store, "a", **{"summary.json": "{}", "model/model.safetensors": "weights"})
    run = read_run(store, "a")
    assert outputs_safe(store, run) == []
    put(store, "a", "model/model.safetensors", b"w")
    assert outputs_safe(store, run) == ["run a: model/model.safetensors has 1 bytes, not 7"]
    store.delete("a", "model/model.safetensors")
    assert outputs_safe(store, run) == ["run a: model/model.safetensors is missing"]


def test_what_a_living_node_has_not_uploaded_is_not_safe(store: RunStore) -> None:
    started = store.ec2.run_instances(ImageId=IMAGE, InstanceType="t3.micro", MinCount=1, MaxCount=1)
    instance_id = started["Instances"][0]["InstanceId"]
    make(store, "a", "QUEUED")
    nodes = [{**NODE, "instance_id": instance_id}]
    events = [
        {"time": "2026-01-01T00:00:00Z", "event": "PROVISIONING", "detail": {"nodes": nodes}},
        {"time": "2026-01-01T00:00:01Z", "event": "FAILED", "detail": {}},
    ]
    put(store, "a", "events.jsonl", "".join(json.dumps(event) + "\n" for event in events).encode())
    (sentence,) = outputs_safe(store, read_run(store, "a"))
    assert instance_id in sentence
    stayed = {"path": "scratch", "why": "it is a link to a folder outside the run directory", "data": True}
    rubbish = {"path": ".cache/", "why": "it is a cache", "data": False}
    store.put("a", "outputs/node-0.json", {"rank": 0, "files": [], "left_out": [stayed, rubbish]})
    (sentence,) = outputs_safe(store, read_run(store, "a"))
    assert f"node 0 ({instance_id}) alone has scratch: it is a link" in sentence
    assert left_out(store, read_run(store, "a")) == [{"rank": 0, **stayed}, {"rank": 0, **rubbish}]
    store.ec2.terminate_instances(InstanceIds=[instance_id])
    assert outputs_safe(store, read_run(store, "a")) == []


def test_an_ended_run_is_recorded_once_however_many_look(store: RunStore) -> None:
    make(store, "a", *ENDED)
    make(store, "b", "QUEUED")
    store.put("b", "submission.json", {"instance_id": "i-0", "command_id": str(uuid.uuid4())})
    ledger, run = Ledger(), read_run(store, "a")
    with_threads = [threading.Thread(target=settle, args=(store, ledger, run)) for _ in range(4)]
    for thread in with_threads:
        thread.start()
    for thread in with_threads:
        thread.join()
    assert ledger.entries == [("run.ended", "a", "recorded")]


GIVEN = [
    ([], 1, []),
    ([["i-1", "i-2"]], 1, ["i-1", "i-2"]),
    ([["i-1", "i-2"], ["i-3", "i-2"]], 1, ["i-1", "i-2", "i-3"]),
    ([[""]], 1, []),
    ([["i-1"], "FAILED", ["i-2"]], 2, ["i-2"]),
]
"""What a run was given before it failed, the attempt that this was, the machines that its end names."""


@pytest.mark.parametrize(("given", "attempt", "named"), GIVEN)
def test_the_end_of_a_run_names_every_machine_that_its_attempt_was_given(
    store: RunStore, given: list[list[str] | str], attempt: int, named: list[str]
) -> None:
    class Keeping(Ledger):
        def append(self, event: str, target: str, outcome: str, details: dict[str, Any]) -> None:
            assert details["instances"] == [*named, "i-late"], "the last one only its receipt has"
            super().append(event, target, outcome, details)

    def line(second: int, what: list[str] | str) -> str:
        nodes = [{**NODE, "instance_id": each} for each in what]
        is_end = isinstance(what, str)
        event, detail = (what, {}) if is_end else ("PROVISIONING", {"nodes": nodes})
        return json.dumps({"time": f"2026-01-01T00:00:0{second}.000Z", "event": event, "detail": detail})

    make(store, "a", attempt=attempt)
    lines = [line(second, what) for second, what in enumerate([*given, "FAILED"])]
    put(store, "a", "events.jsonl", "\n".join(lines).encode())
    store.put("a", "receipt.json", {"nodes": [{"rank": 0, "instance_id": "i-late"}]})
    ledger = Keeping()
    assert settle(store, ledger, read_run(store, "a"))
    assert ledger.entries == [("run.ended", "a", "recorded")]


def test_a_run_is_recorded_later_where_the_ledger_refused(store: RunStore) -> None:
    class Broken(Ledger):
        def append(self, event: str, target: str, outcome: str, details: dict[str, Any]) -> None:
            raise ActError("the ledger can't be written")

    make(store, "a", *ENDED)
    with pytest.raises(ActError):
        settle(store, Broken(), read_run(store, "a"))
    ledger = Ledger()
    assert settle(store, ledger, read_run(store, "a"))
    assert len(ledger.entries) == 1


def test_a_run_whose_head_is_gone_is_ended_and_recorded_by_whoever_looks(store: RunStore) -> None:
    make(store, "a", "QUEUED", "PROVISIONING", "RUNNING")
    store.put("a", "submission.json", {"instance_id": "i-0", "command_id": str(uuid.uuid4())})
    bring_home(store, "a")
    assert is_lost(store, read_run(store, "a"))
    ledger = Ledger()
    (run,) = settle_all(store, ledger)
    assert run.state == "FAILED"
    assert "its dispatcher" in run.cause
    assert store.get_json("a", "stop.json") is not None
    assert ledger.entries == [("run.ended", "a", "recorded")]


def test_a_run_that_was_just_submitted_is_not_lost_yet(store: RunStore) -> None:
    now = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime())
    make(store, "fresh", submitted=now)
    make(store, "old")
    assert not is_lost(store, read_run(store, "fresh"))
    assert is_lost(store, read_run(store, "old"))


class Commands:
    """Systems Manager's list of one run's commands: the dispatcher's, and that of a node."""

    def __init__(self, run_id: str) -> None:
        both = ((naming.run_document("lab"), "head"), (naming.node_document("lab"), "node"))
        self.commands = [
            {"CommandId": name, "Comment": run_id, "DocumentName": document, "InstanceIds": [f"i-{name}"]}
            for document, name in reversed(both)
        ]
        self.status = "InProgress"

    def get_paginator(self, name: str) -> Commands:
        return self

    def paginate(self, **request: Any) -> list[dict[str, Any]]:
        return [{"Commands": []}, {"Commands": self.commands}]

    def get_command_invocation(self, **request: Any) -> dict[str, str]:
        assert request == {"CommandId": "head", "InstanceId": "i-head"}
        return {"Status": self.status}


def test_a_run_whose_submitter_was_killed_is_found_by_its_command(
    store: RunStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(store, "a", "QUEUED", "PROVISIONING", "RUNNING", environment="lab")
    commands = Commands("a")
    monkeypatch.setitem(store.__dict__, "ssm", commands)
    monkeypatch.setattr(lost, "running_machines", lambda store, machines: set(machines))
    assert not is_lost(store, read_run(store, "a"))
    commands.status = "Failed"
    assert is_lost(store, read_run(store, "a"))
    commands.commands = []
    assert is_lost(store, read_run(store, "a"))


def test_lost_runs_that_hold_nodes_are_ended_and_living_ones_are_not(
    store: RunStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for run_id in ("dead", "alive", "free"):
        make(store, run_id, "QUEUED")
    for number, run_id in enumerate(("dead", "dead", "alive", "never-was")):
        store.s3.put_object(
            Bucket=store.bucket, Key=f"nodes/i-{number}.json", Body=json.dumps({"run_id": run_id}).encode()
        )
    monkeypatch.setattr(run_control, "is_lost", lambda store, run: run.run_id != "alive")
    ledger = Ledger()
    assert end_lost_holders(store, ledger) == ["dead"]
    assert ledger.entries == [("run.ended", "dead", "recorded")]
    assert [run.state for run in list_runs(store)] == ["QUEUED", "FAILED", "QUEUED"]


def test_an_end_that_was_being_recorded_when_its_writer_was_killed_is_recorded_again(store: RunStore) -> None:
    make(store, "a", *ENDED)
    now = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime())
    ledger = Ledger()
    store.put("a", "settled.json", {"time": now, "state": "recording"})
    settle_all(store, ledger)
    assert ledger.entries == []  # somebody is at it
    store.put("a", "settled.json", {"time": "2026-01-01T00:00:00.000Z", "state": "recording"})
    settle_all(store, ledger)
    settle_all(store, ledger)
    assert ledger.entries == [("run.ended", "a", "recorded")]


def test_the_marker_says_recorded_only_once_the_ledger_has_it(store: RunStore) -> None:
    seen: list[str] = []

    class Looking(Ledger):
        def append(self, event: str, target: str, outcome: str, details: dict[str, Any]) -> None:
            seen.append((store.get_json("a", "settled.json") or {})["state"])

    make(store, "a", *ENDED)
    settle(store, Looking(), read_run(store, "a"))
    seen.append((store.get_json("a", "settled.json") or {})["state"])
    assert seen == ["recording", "recorded"]


def test_cancel_gives_up_waiting_with_a_sentence(store: RunStore, monkeypatch: pytest.MonkeyPatch) -> None:
    make(store, "a", "QUEUED")
    monkeypatch.setattr(run_control, "is_lost", lambda store, run: False)
    with pytest.raises(ActError, match="has not ended 0 s after"):
        cancel(store, Ledger(), "a", "tests", wait_s=0.05)


def test_a_fetched_run_is_whole_verified_and_not_copied_twice(store: RunStore, tmp_path: Path) -> None:
    make(store, "a", *ENDED)
    bring_home(store, "a", **{"summary.json": "{}", "model/model.safetensors": "weights"})
    copied: list[str] = []
    done = fetch(store, "a", tmp_path, lambda name, size: copied.append(name))
    assert (tmp_path / "model/model.safetensors").read_text() == "weights"
    assert (done.verified, done.files) == (2, len(copied)) == (2, 5)
    copied.clear()
    (tmp_path / "summary.json").write_text("changed")
    fetch(store, "a", tmp_path, lambda name, size: copied.append(name))
    assert "summary.json" in copied
    assert "model/model.safetensors" not in copied
    assert (tmp_path / "summary.json").read_text() == "{}"


def test_results_of_a_runs_file_system_are_fetched_with_their_folders(
    store: RunStore, tmp_path: Path
) -> None:
    make(store, "a", *ENDED)
    put(store, "a", "fsx/deep/", b"")
    put(store, "a", "fsx/deep/x", b"result")
    fetch(store, "a", tmp_path)
    assert (tmp_path / "fsx/deep/x").read_bytes() == b"result"


def test_a_damaged_file_is_refused_and_leaves_nothing(store: RunStore, tmp_path: Path) -> None:
    make(store, "a", *ENDED)
    bring_home(store, "a", **{"summary.json": "{}"})
    put(store, "a", "summary.json", b"[]")
    with pytest.raises(ActError, match=r"summary\.json of the run a is damaged"):
        fetch(store, "a", tmp_path)
    assert not (tmp_path / "summary.json").exists()
    assert [path for path in tmp_path.rglob("*") if path.name.endswith(".part")] == []


def test_a_name_that_would_leave_the_folder_is_refused(
    store: RunStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(store, "a", *ENDED)
    sizes = RunStore.sizes

    def with_evil(self: RunStore, run_id: str, prefix: str = "") -> dict[str, int]:
        return {**sizes(self, run_id, prefix), **({} if prefix else {"../../evil": 1})}

    monkeypatch.setattr(RunStore, "sizes", with_evil)
    with pytest.raises(ActError, match="not copied"):
        fetch(store, "a", tmp_path / "here")
    assert not (tmp_path.parent / "evil").exists()


def test_following_yields_each_byte_once_and_the_log_before_the_end(
    store: RunStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(store, "a", "QUEUED", "PROVISIONING", "RUNNING")
    put(store, "a", "logs/node-0.log", "eins ü".encode()[:-1])  # the upload ended inside a character
    asked: list[int] = []
    get_from = RunStore.get_from

    def counted(self: RunStore, run_id: str, name: str, offset: int, most: int | None = None) -> bytes:
        asked.append(offset)
        return get_from(self, run_id, name, offset, most)

    monkeypatch.setattr(RunStore, "get_from", counted)
    monkeypatch.setattr(follow, "_POLL_SECONDS", 0.01)
    items: list[EventSeen | LogText] = []
    for item in follow.follow(store, "a"):
        items.append(item)
        if isinstance(item, LogText) and len(asked) == 1:
            put(store, "a", "logs/node-0.log", "eins ü zwei\n".encode())
            make(store, "a", *ENDED)
    assert "".join(item.text for item in items if isinstance(item, LogText)) == "eins ü zwei\n"
    assert [item.event for item in items if isinstance(item, EventSeen)] == list(ENDED)
    assert asked == [0, 5]  # a place is never inside a character
    assert isinstance(items[-1], EventSeen)


def test_following_one_node_leaves_out_the_others(store: RunStore) -> None:
    make(store, "a", *ENDED)
    for rank in range(3):
        put(store, "a", f"logs/node-{rank}.log", f"node {rank}\n".encode())
    pieces = [item for item in follow.follow(store, "a", rank=1) if isinstance(item, LogText)]
    assert pieces == [LogText(1, "node 1\n")]
    assert [piece.rank for piece in follow.read_logs(store, "a")] == [0, 1, 2]


def test_logs_of_several_nodes_are_printed_by_whole_lines(capsys: pytest.CaptureFixture[str]) -> None:
    printer = LogPrinter(several=True)
    for piece in (LogText(0, "a"), LogText(1, "x\n"), LogText(0, "b\nc")):
        printer.show(piece)
    printer.end_lines()
    assert capsys.readouterr().out == "[node 1] x\n[node 0] ab\n[node 0] c\n"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "-"), (12.34, "12.3 s"), (245, "4 min 05 s"), (7383, "2 h 03 min")],
)
def test_durations_are_told_as_people_read_them(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text
