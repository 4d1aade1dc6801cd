"""Runs in a queue as users see it: handed over and answered, held, cancelled, listed, not taken for lost."""

from __future__ import annotations

import dataclasses
import json
import re
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from fleet import elastic, ready
from fleet.cloud import Cloud
from fleet.elastic import forget_cluster
from fleet.errors import ActError
from fleet.job import JobSpec
from fleet.lost import Look, is_lost
from fleet.project import Project
from fleet.queue import look_at_queue
from fleet.queue_acts import act_on_run, queue_teller
from fleet.resume import resume
from fleet.run_control import cancel
from fleet.run_store import RunStore, open_runs
from fleet.runs import read_run
from fleet.submit import Submitted, submit
from fleet.terraform_events import ProgressEvent
from fleet.top import look_at_nodes
from node.layout import utc_now
from scripts import queue as queue_verb
from scripts import top as top_verb
from stacks import naming
from stacks.problems import UserError
from tests.queue_desk import Desk, ago, build_desk

pytestmark = pytest.mark.sandbox
GONE = {"instance_id": "i-00000000000000000", "command_id": str(uuid.uuid4())}
"""A command to a head that is not there any more."""


@pytest.fixture(scope="module")
def desk(sandbox: Cloud, sandbox_home: Path) -> Iterator[Desk]:
    yield build_desk(sandbox, Project(root=sandbox_home, home=sandbox_home), "line")


@pytest.fixture(autouse=True)
def _willing(desk: Desk) -> None:
    desk.answer("true")


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "train.py"
    path.write_text("print('hello')\n")
    return path


def ledger_end(desk: Desk, count: int = 2) -> list[tuple[str, str]]:
    return [(entry["event"], entry["outcome"]) for entry in desk.session.ledger.entries()[-count:]]


def queued(desk: Desk, script: Path, **settings: Any) -> Submitted:
    with desk.saying("run.json", "QUEUED"):
        return submit(desk.session, desk.outputs, JobSpec(environment="line", script=script, **settings))


# ------------------------------------------------------------------------------------------ handed over


def test_a_run_is_reported_as_submitted_once_the_queue_has_it(desk: Desk, script: Path) -> None:
    done = queued(desk, script, nodes=4, priority="low")
    assert done.queued
    run = desk.store.get_json(done.run_id, "run.json") or {}
    assert (run["scheduler"], run["team"], run["priority"], run["nodes"]) == ("slurm", "tests", "low", 4)
    assert read_run(desk.store, done.run_id).state == "QUEUED"
    assert ledger_end(desk) == [("run.submit", "started"), ("run.submit", "succeeded")]


def test_what_the_queue_refuses_is_an_error_with_its_reason(desk: Desk, script: Path) -> None:
    why = r"the queue refused the run .*: the fleet gpu has 2 nodes"
    saying = desk.saying("run.json", "FAILED", cause="the fleet gpu has 2 nodes")
    with saying, pytest.raises(ActError, match=why):
        submit(desk.session, desk.outputs, JobSpec(environment="line", script=script))
    assert ledger_end(desk) == [("run.submit", "started"), ("run.submit", "failed")]


def test_a_run_that_the_head_could_not_queue_is_ended_by_us(desk: Desk, script: Path) -> None:
    desk.answer("echo 'the clerk does not answer' >&2; exit 1")
    with pytest.raises(ActError, match="did not reach the queue: the clerk does not answer") as caught:
        submit(desk.session, desk.outputs, JobSpec(environment="line", script=script))
    (run_id,) = re.findall(r"the run (\S+)", str(caught.value))
    run = read_run(desk.store, run_id)
    assert (run.state, run.cause) == ("FAILED", "it did not reach the queue: the clerk does not answer")


def test_an_array_is_a_run_and_one_more_for_each_task_that_carries_nothing_but_its_index(
    desk: Desk, script: Path
) -> None:
    done = queued(desk, script, array="8-11%2")
    assert done.tasks == [f"{done.run_id}-a{index}" for index in (8, 9, 10, 11)]
    parent = desk.store.get_json(done.run_id, "run.json") or {}
    assert parent["array"] == {"first": 8, "last": 11, "at_once": 2}
    for index, task in zip((8, 9, 10, 11), done.tasks, strict=True):
        run = desk.store.get_json(task, "run.json") or {}
        assert (run["array"], run["array_of"], run["array_index"]) == (None, done.run_id, index)
        assert run["code"] == parent["code"]
        assert not {"launch.sh", "code.tar.gz"} & set(desk.store.sizes(task))
    newest = [run for run in desk.store.run_ids() if run.startswith(done.run_id)]
    assert newest == [*reversed(done.tasks), done.run_id]
    task = read_run(desk.store, done.tasks[0])
    assert not is_lost(desk.store, task)
    desk.say(done.run_id, "CANCELLED")
    assert is_lost(desk.store, read_run(desk.store, done.tasks[1]))


def test_a_run_waits_only_for_runs_that_can_still_succeed(desk: Desk, script: Path) -> None:
    first = queued(desk, script).run_id
    after = queued(desk, script, after=(first,))
    assert (desk.store.get_json(after.run_id, "run.json") or {})["after"] == [first]
    desk.say(first, "FAILED", cause="x")
    with pytest.raises(UserError, match="has ended as FAILED, so this one would wait for ever") as caught:
        submit(desk.session, desk.outputs, JobSpec(environment="line", script=script, after=(first, "nope")))
    assert [problem.path for problem in caught.value.problems] == ["--after", "--after"]
    assert queued(desk, script, after=(first,), after_any=True).queued


def test_a_team_s_run_goes_by_its_own_document_and_is_named_after_it(desk: Desk, script: Path) -> None:
    ssm = desk.session.client("ssm")
    content = ssm.get_document(Name=desk.outputs.run_document)["Content"]
    name = desk.outputs.run_document_of("blue")
    assert name != desk.outputs.run_document
    ssm.create_document(Name=name, Content=content, DocumentType="Command", DocumentFormat="JSON")
    done = queued(desk, script, team="blue")
    assert done.run_id.startswith("blue-")
    told = desk.store.get_json(done.run_id, "submission.json") or {}
    (command,) = ssm.list_commands(CommandId=told["command_id"])["Commands"]
    assert command["DocumentName"] == name
    assert {run[:5] for run in dataclasses.replace(desk.store, team="blue").run_ids()} == {"blue-"}


def test_packages_travel_once_by_their_digest(desk: Desk, script: Path, tmp_path: Path) -> None:
    lock = tmp_path / "requirements.lock"
    lock.write_text(f"einops==0.8.1 --hash=sha256:{'a' * 64}\n")
    run_id = queued(desk, script, packages=lock).run_id
    packages = (desk.store.get_json(run_id, "run.json") or {})["packages"]
    assert desk.store.read_object(packages["key"]) == lock.read_bytes()
    assert packages["sha256"] in packages["key"]


def test_a_run_of_the_queue_is_resumed_through_it(desk: Desk, script: Path) -> None:
    run_id = queued(desk, script, nodes=3).run_id
    desk.say(run_id, "FAILED", cause="x")
    with desk.saying("attempts/1/", "QUEUED", attempt=2):
        desk.store.put(run_id, "cancel.json", {"actor": "x"})
        resume(desk.session, desk.outputs, run_id)
    assert (read_run(desk.store, run_id).attempt, read_run(desk.store, run_id).state) == (2, "QUEUED")
    plain = desk.outputs.model_copy(update={"scheduler": "plain"})
    desk.say(run_id, "FAILED", cause="x")
    session = dataclasses.replace(desk.session, cloud=_plain(desk))
    with pytest.raises(UserError, match="began under the slurm engine"):
        resume(session, plain, run_id)


def _plain(desk: Desk) -> Cloud:
    return Cloud(desk.session.cloud.name, {**desk.session.cloud.variables, "FLEETFORM_SCHEDULER": "plain"})


# ----------------------------------------------------------------------------------------------- acts


def test_acts_on_a_run_reach_the_queue_and_the_ledger(desk: Desk, script: Path) -> None:
    run_id = queued(desk, script).run_id
    desk.answer("echo '{{ Act }} {{ RunId }}'")
    for act in ("hold", "release", "requeue"):
        assert act_on_run(desk.session, run_id, act) == f"{act} {run_id}"  # type: ignore[arg-type]
        assert ledger_end(desk) == [(f"run.{act}", "started"), (f"run.{act}", "succeeded")]
    desk.answer("echo 'the run is of another team' >&2; exit 1")
    with pytest.raises(ActError, match=r"refused to hold the run .*: the run is of another team"):
        act_on_run(desk.session, run_id, "hold")
    assert ledger_end(desk) == [("run.hold", "started"), ("run.hold", "failed")]


def test_a_run_that_has_ended_or_is_in_no_queue_is_not_acted_on(desk: Desk, script: Path) -> None:
    run_id = queued(desk, script).run_id
    desk.say(run_id, "SUCCEEDED")
    with pytest.raises(UserError, match="has ended as SUCCEEDED"):
        act_on_run(desk.session, run_id, "requeue")
    run = desk.store.get_json(run_id, "run.json") or {}
    desk.store.put("20260101-000000-plain", "run.json", {**run, "scheduler": "plain"})
    with pytest.raises(UserError, match="was started by the plain engine"):
        act_on_run(desk.session, "20260101-000000-plain", "hold")


def test_a_cancellation_is_told_to_the_queue_and_its_end_is_waited_for(desk: Desk, script: Path) -> None:
    run_id = queued(desk, script).run_id
    told: list[tuple[str, str]] = []
    tell = queue_teller(desk.session)

    def telling(act: str, run: str) -> bool:
        told.append((act, run))
        return len(told) > 1 and tell(act, run)  # at first there is no head

    with desk.saying("cancel.json", "CANCELLED", cause="cancelled by tests"):
        ended = cancel(desk.store, desk.session.ledger, run_id, "tests", tell=telling)
    assert ended.state == "CANCELLED"
    assert set(told) <= {("cancel", run_id)}
    assert queue_teller(desk.session)("cancel", run_id)


# ----------------------------------------------------------------------------------------------- lost


def test_a_queued_run_is_not_lost_with_its_head_but_with_its_environment(
    desk: Desk, script: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = queued(desk, script).run_id
    desk.store.put(run_id, "submission.json", GONE)
    run = read_run(desk.store, run_id)
    assert not is_lost(desk.store, run)
    monkeypatch.setattr(naming, "outputs_parameter", lambda environment: f"/fleetform/{environment}/nothing")
    assert is_lost(desk.store, run)


def test_a_run_that_a_younger_queue_has_forgotten_is_lost(desk: Desk, script: Path) -> None:
    run_id = queued(desk, script).run_id
    store = desk.store
    store.s3.delete_object(Bucket=store.bucket, Key=f"runs/{run_id}/events.jsonl")
    desk.say(run_id, "QUEUED", time=ago(30))
    run = read_run(store, run_id)
    try:
        for time, jobs, lost in (
            (ago(25), [], False),
            (ago(15), [], True),
            (ago(15), [{"run_id": run_id}], False),
        ):
            desk.put("cluster/queue.json", {"time": time, "jobs": jobs})
            assert is_lost(store, run) == lost
    finally:
        store.s3.delete_object(Bucket=store.bucket, Key="cluster/queue.json")


def test_what_queued_runs_have_in_common_is_asked_for_once_however_many_there_are(
    desk: Desk, script: Path
) -> None:
    plain = {queued(desk, script).run_id for _ in range(2)}
    array, store, asked = queued(desk, script, array="0-2"), open_runs(desk.session), list[str]()
    common = ("cluster/queue.json", f"runs/{array.run_id}/run.json")

    def note(params: dict[str, Any], **_: Any) -> None:
        asked.append(params.get("Key") or params["Name"])

    store.s3.meta.events.register("provide-client-params.s3.GetObject", note)
    store.ssm.meta.events.register("provide-client-params.ssm.GetParameter", note)
    runs, look = [read_run(store, each) for each in (*plain, array.run_id, *array.tasks)], Look(store)
    asked.clear()
    assert [is_lost(store, run, look) for run in runs] == [False] * 6
    assert asked.count(common[0]) == asked.count(naming.outputs_parameter("line")) == 1
    assert asked.count(common[1]) == 2, "as a run of its own, and as what its tasks are of"


def test_a_run_whose_command_never_came_to_an_end_is_lost_with_its_head(desk: Desk, script: Path) -> None:
    run_id = queued(desk, script).run_id
    store = desk.store
    store.s3.delete_object(Bucket=store.bucket, Key=f"runs/{run_id}/events.jsonl")
    assert not is_lost(store, read_run(store, run_id)), "its command has succeeded, so the queue has it"
    store.put(run_id, "submission.json", GONE)
    assert is_lost(store, read_run(store, run_id))


# --------------------------------------------------------------------------------------------- looked at

JOB = {
    "run_id": "20261122-170203-aaaaa", "job_id": 7, "team": "tests", "state": "RUNNING", "reason": "",
    "nodes": 2, "gpus": 2, "node_names": ["gpu-1", "gpu-2"], "priority": "normal",
    "submitted": "2026-11-22T17:02:03.000Z", "started": "2026-11-22T17:02:05.000Z", "limit_minutes": 1440,
    "position": None,
}  # fmt: skip
WAITING = {
    **JOB, "run_id": "blue-20261122-170204-bbbbb", "team": "blue", "state": "QUEUED", "node_names": [],
    "reason": "waits for 2 free nodes of gpu", "started": None, "position": 2, "limit_minutes": 60,
}  # fmt: skip
HELD = {**WAITING, "run_id": "20261122-170205-ccccc", "team": "tests", "state": "HELD", "position": 1}


def test_the_queue_is_one_object_to_read_however_long_it_is(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    desk.put("cluster/queue.json", {"time": utc_now(), "jobs": [WAITING, HELD, JOB]})
    reads: list[str] = []
    read = RunStore.read_object
    monkeypatch.setattr(RunStore, "read_object", lambda self, key: reads.append(key) or read(self, key))
    monkeypatch.setattr("fleet.session.open_session", lambda environment, cloud: desk.session)
    monkeypatch.setattr(RunStore, "run_ids", lambda self: pytest.fail("the runs are not listed"))
    assert queue_verb.command.main(["line"], standalone_mode=False) == 0
    said = capsys.readouterr()
    lines = said.out.splitlines()
    assert lines[0].split()[:4] == ["#", "run", "team", "state"]
    assert [line.split()[0] for line in lines[2:]] == ["20261122-170203-aaaaa", "1", "2"]
    assert lines[2].endswith("gpu-1, gpu-2") and lines[4].endswith("waits for 2 free nodes of gpu")
    assert "1 run, 2 wait" in said.err
    assert reads == ["cluster/queue.json"]
    assert queue_verb.command.main(["line", "--team", "blue", "--json"], standalone_mode=False) == 0
    (only,) = json.loads(capsys.readouterr().out)["jobs"]
    assert only["run_id"] == WAITING["run_id"]
    desk.store.s3.delete_object(Bucket=desk.store.bucket, Key="cluster/queue.json")
    assert queue_verb.command.main(["line"], standalone_mode=False) == 0
    assert "has not published its queue yet" in capsys.readouterr().out


def test_the_nodes_are_shown_with_what_they_said_lately(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def node(number: int, **more: Any) -> dict[str, Any]:
        about = {"fleet": "gpu", "state": "IDLE", "reason": "", "instance_id": f"i-{number}", "runs": []}
        return {"name": f"gpu-{number}", **about, **more}

    nodes = [
        node(10, state="POWERED_DOWN", instance_id=""),
        node(2, state="DRAINED", reason="health: 1 of 2 GPUs"),
        node(1, state="ALLOCATED", runs=["20261122-170203-aaaaa"]),
    ]
    gpu = {
        "index": 0, "name": "A10G", "busy_percent": 97.2, "memory_mib": 11264, "memory_total_mib": 22528,
        "watts": 280, "celsius": 61,
    }  # fmt: skip
    said = {
        "cpu_percent": 41.6, "load": 3.25, "memory_mib": 12288, "memory_total_mib": 65536, "gpus": [gpu],
        "received_mb_s": 1200.4, "sent_mb_s": 3, "read_mb_s": 0, "written_mb_s": 88, "disk_free_gib": 71.2,
        "runs": [],
    }  # fmt: skip
    desk.put("cluster/nodes.json", {"time": utc_now(), "nodes": nodes})
    desk.put("cluster/stats/gpu-1.json", {"name": "gpu-1", "time": utc_now(), **said})
    desk.put("cluster/stats/gpu-2.json", {"name": "gpu-2", "time": ago(5), **said})
    assert [(each.name, each.stats is not None) for each in look_at_nodes(desk.session)] == [
        ("gpu-1", True), ("gpu-2", False), ("gpu-10", False),
    ]  # fmt: skip
    monkeypatch.setattr("fleet.session.open_session", lambda environment, cloud: desk.session)
    assert top_verb.command.main(["line"], standalone_mode=False) == 0
    lines = capsys.readouterr().out.splitlines()
    row = "gpu-1 ALLOCATED 20261122-170203-aaaaa 42% 3.2 12/64 GiB 97% 11/22 GiB 1200/3 MB/s 0/88 MB/s 71 GiB"
    assert lines[2].split() == row.split()
    assert lines[3].split() == ["gpu-2", "DRAINED", *["-"] * 9]
    assert lines[4:] == ["gpu-2: health: 1 of 2 GPUs", "1 more can be started"]
    assert top_verb.command.main(["line", "--json"], standalone_mode=False) == 0
    assert len(json.loads(capsys.readouterr().out)["nodes"]) == 3


def test_what_a_head_told_long_ago_is_not_shown_as_if_it_were_so(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    node = {"fleet": "gpu", "state": "IDLE", "reason": "", "runs": []}
    nodes = [{"name": f"gpu-{n}", "instance_id": f"i-{n}", **node} for n in (1, 2)]
    desk.put("cluster/nodes.json", {"time": ago(5), "nodes": nodes})
    assert {each.state for each in look_at_nodes(desk.session)} == {"UNKNOWN"}
    monkeypatch.setattr("fleet.session.open_session", lambda environment, cloud: desk.session)
    assert top_verb.command.main(["line", "--once"], standalone_mode=False) == 0
    assert "gpu-1, gpu-2: the head node has told nothing since 20" in capsys.readouterr().out


def test_machines_that_answer_are_not_ready_before_the_queue_has_told_of_itself(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[ProgressEvent] = []
    monkeypatch.setattr(ready, "_QUEUE_POLL_SECONDS", 0.05)
    monkeypatch.setattr(ready, "readiness", lambda *_: ready.Readiness(wanted=1, running=1, online=1))
    desk.put("cluster/nodes.json", {"time": ago(5), "nodes": []})
    ready.wait_ready(desk.session, told.append, timeout_s=0.5)
    (warning,) = [each.text for each in told if each.kind == "warning"]
    assert "tells of no queue" in warning and "boot.log" in warning
    told.clear()
    desk.put("cluster/nodes.json", {"time": utc_now(), "nodes": []})
    ready.wait_ready(desk.session, told.append, timeout_s=5)
    assert [each.text for each in told] == ["1 of 1 machines answer (1 run)"]


def test_a_teardown_takes_away_what_the_head_and_all_nodes_have_told(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, store = "cluster/slurm.conf", open_runs(desk.session)
    nodes = [f"cluster/stats/gpu-{number}.json" for number in range(1, 6)]
    for name in ("cluster/queue.json", "cluster/nodes.json", *nodes, kept):
        desk.put(name, {"time": utc_now(), "nodes": [], "jobs": []})
    # S3 lists 1000 at a time.
    shorter = "provide-client-params.s3.ListObjectsV2"
    store.s3.meta.events.register(shorter, lambda params, **_: {**params, "MaxKeys": 2})
    monkeypatch.setattr(elastic, "open_runs", lambda session: store)
    forget_cluster(desk.session)
    listed = desk.store.s3.list_objects_v2(Bucket=desk.store.bucket, Prefix="cluster/")["Contents"]
    assert [each["Key"] for each in listed] == [kept]
    assert look_at_queue(desk.session).time is None and look_at_nodes(desk.session) == []
    forget_cluster(desk.session)


def test_an_object_that_s3_refuses_because_it_is_not_there_is_none_and_another_is_refused(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = RunStore(desk.store.cloud, desk.store.region, desk.store.bucket, "blue")

    def refused(**_: Any) -> None:
        raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "GetObject")

    monkeypatch.setattr(store.s3, "get_object", refused)
    assert store.read_object("cluster/stats/gpu-9.json") is None
    desk.put("cluster/queue.json", {"time": utc_now(), "jobs": []})
    with pytest.raises(ClientError):
        store.read_object("cluster/queue.json")


def test_an_object_that_comes_between_its_refusal_and_the_listing_is_read(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = RunStore(desk.store.cloud, desk.store.region, desk.store.bucket, "blue")
    get_object, line = store.s3.get_object, b'{"event": "QUEUED"}'

    def refused_at_first(**request: Any) -> Any:
        monkeypatch.setattr(store.s3, "get_object", get_object)
        store.s3.put_object(Bucket=store.bucket, Key=request["Key"], Body=line)
        raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "GetObject")

    monkeypatch.setattr(store.s3, "get_object", refused_at_first)
    assert store.get("blue-20261122-170203-abcde", "events.jsonl") == line
    store.delete("blue-20261122-170203-abcde", "events.jsonl")


def test_the_plain_engine_s_queue_and_nodes_are_what_its_runs_and_machines_tell(
    desk: Desk, script: Path
) -> None:
    run_id = queued(desk, script).run_id
    session = dataclasses.replace(desk.session, cloud=_plain(desk))
    found = look_at_queue(session)
    (job,) = [job for job in found.jobs if job["run_id"] == run_id]
    assert (found.scheduler, job["state"], job["reason"]) == (
        "plain",
        "QUEUED",
        "waits for 1 free nodes of gpu",
    )
    assert look_at_nodes(session) == []
