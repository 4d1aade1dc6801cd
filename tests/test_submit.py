"""Handing a run over: everything or nothing is in the bucket, and the ledger has it either way."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fleet import code_archive, datasets, head, lost, run_control, submit
from fleet.cloud import Cloud
from fleet.environment import read_outputs
from fleet.errors import ActError
from fleet.job import JobSpec
from fleet.lost import is_lost
from fleet.project import Project
from fleet.run_control import settle_all
from fleet.run_store import RunStore
from fleet.runs import read_run
from stacks import naming
from stacks.problems import UserError
from tests.ledger_parts import runs_on
from tests.run_environment import RunEnvironment, build
from tests.sandbox_helpers import admin, run_instances, wait_for

pytestmark = pytest.mark.sandbox


@pytest.fixture(scope="module")
def desk(sandbox: Cloud, sandbox_home: Path) -> Iterator[RunEnvironment]:
    environment = build(sandbox, Project(root=sandbox_home, home=sandbox_home), "desk", nodes=1)
    yield environment
    environment.remove()


def last_entries(desk: RunEnvironment, count: int) -> list[tuple[str, str]]:
    return [(entry["event"], entry["outcome"]) for entry in desk.session.ledger.entries()[-count:]]


def run_files(desk: RunEnvironment) -> set[str]:
    answer = desk.store.s3.list_objects_v2(Bucket=desk.store.bucket, Prefix="runs/")
    return {item["Key"] for item in answer.get("Contents", [])}


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "train.py"
    path.write_text("print('hello')\n")
    return path


def test_a_refused_job_leaves_nothing_and_is_on_record(desk: RunEnvironment, script: Path) -> None:
    before = run_files(desk)
    with pytest.raises(UserError, match="60 nodes"):
        submit.submit(desk.session, desk.outputs, JobSpec(environment="desk", script=script, nodes=60))
    assert last_entries(desk, 2) == [("run.submit", "started"), ("run.submit", "refused")]
    assert run_files(desk) == before


class Refusing:
    """An S3 client whose bucket is full from the n-th PUT on."""

    def __init__(self, s3: Any, after: int) -> None:
        self._s3, self._left = s3, after

    def __getattr__(self, name: str) -> Any:
        return getattr(self._s3, name)

    def put_object(self, **request: Any) -> Any:
        self._left -= 1
        if self._left < 0:
            raise OSError("the bucket is full")
        return self._s3.put_object(**request)


@pytest.mark.parametrize("after", [0, 1, 2])
def test_a_bucket_that_refuses_any_upload_starts_nothing_and_keeps_nothing(
    desk: RunEnvironment, script: Path, after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = run_files(desk)
    monkeypatch.setattr(RunStore, "s3", Refusing(desk.session.client("s3"), after))
    with pytest.raises(ActError, match="the run was not started: the bucket is full"):
        submit.submit(desk.session, desk.outputs, JobSpec(environment="desk", script=script))
    assert run_files(desk) == before
    assert last_entries(desk, 2) == [("run.submit", "started"), ("run.submit", "failed")]


def test_a_command_that_is_refused_leaves_nothing(desk: RunEnvironment, script: Path) -> None:
    before = run_files(desk)
    outputs = desk.outputs.model_copy(update={"run_document": "no-such-document"})
    with pytest.raises(ActError, match=r"the run was not started: .*InvalidDocument"):
        submit.submit(desk.session, outputs, JobSpec(environment="desk", script=script))
    assert run_files(desk) == before


def test_a_run_is_under_way_though_nothing_more_could_be_written_after_the_command(
    desk: RunEnvironment, script: Path, sandbox: Cloud
) -> None:
    fault = {"service": "s3", "action": "PutObject", "resource": "submission.json", "code": "AccessDenied"}
    admin(sandbox, "POST", "faults", {**fault, "status": 403, "count": 1})
    try:
        run_id = submit.submit(desk.session, desk.outputs, JobSpec(environment="desk", script=script)).run_id
    finally:
        admin(sandbox, "DELETE", "faults")
    assert last_entries(desk, 2) == [("run.submit", "started"), ("run.submit", "succeeded")]
    assert desk.store.get_json(run_id, "submission.json") is None
    run = read_run(desk.store, run_id)
    assert not is_lost(desk.store, run)
    desk.store.ssm.cancel_command(CommandId=_command_of(desk, run_id))
    wait_for(lambda: is_lost(desk.store, run))
    ended = run_control.cancel(desk.store, desk.session.ledger, run_id, "tests")
    assert ended.state == "CANCELLED"


def _command_of(desk: RunEnvironment, run_id: str) -> str:
    request = desk.store.get_json(run_id, "run.json") or {}
    found = lost._find_command(desk.store, read_run(desk.store, run_id), request)
    assert found is not None
    return found["command_id"]


def test_a_dead_run_s_nodes_are_freed_for_the_next_one(desk: RunEnvironment, script: Path) -> None:
    dead = {
        "run_id": "dead", "fleet": "gpu", "recipe": "digits", "script": "", "nodes": 1, "procs_per_node": 1,
        "actor": "tests", "submitted": "2026-01-01T00:00:00.000Z",
    }  # fmt: skip
    desk.store.put("dead", "run.json", dead)
    desk.store.put("dead", "submission.json", {"instance_id": "i-0", "command_id": "0" * 36})
    (node,) = desk.instances("node")
    key = f"nodes/{node}.json"
    desk.store.s3.put_object(Bucket=desk.store.bucket, Key=key, Body=b'{"run_id": "dead"}')
    run_id = submit.submit(desk.session, desk.outputs, JobSpec(environment="desk", script=script)).run_id
    assert read_run(desk.store, "dead").state == "FAILED"
    wait_for(lambda: read_run(desk.store, run_id).placed)
    wait_for(lambda: not read_run(desk.store, run_id).active, 120)


def test_an_environment_without_a_head_node_says_so(
    desk: RunEnvironment, script: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(naming, "ROLE_HEAD", "nobody")
    with pytest.raises(ActError, match="the head node of desk is not there"):
        submit.submit(desk.session, desk.outputs, JobSpec(environment="desk", script=script))


class Knows:
    """Systems Manager's list of the heads, page by page, each Online; sending is the cloud's own."""

    def __init__(self, ssm: Any, *heads: str) -> None:
        self._ssm, self._heads = ssm, heads

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ssm, name)

    def get_paginator(self, name: str) -> Any:
        return self

    def paginate(self, **request: Any) -> list[dict[str, Any]]:
        return [
            {"InstanceInformationList": [{"InstanceId": head, "PingStatus": "Online"}]}
            for head in self._heads
        ]


def knowing(desk: RunEnvironment, monkeypatch: pytest.MonkeyPatch, *heads: str) -> None:
    client = type(desk.session).client
    ssm = Knows(desk.session.client("ssm"), *heads)
    monkeypatch.setattr(
        type(desk.session), "client", lambda self, service: ssm if service == "ssm" else client(self, service)
    )


def test_a_head_that_has_ended_is_passed_over_for_the_newest_that_runs(
    desk: RunEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    (living,) = desk.instances("head")
    knowing(desk, monkeypatch, "i-00000000000000000", living)
    assert head.find_head(desk.session) == living
    # A second head that runs, but was launched later and does not answer yet, is not chosen either.
    tags = {naming.TAG_ENVIRONMENT: "desk", naming.TAG_ROLE: "head"}
    (newer,) = run_instances(desk.session.cloud, **tags)
    try:
        assert head.find_head(desk.session) == living
        knowing(desk, monkeypatch, living, newer, "i-00000000000000000")
        assert head.find_head(desk.session) == newer
    finally:
        desk.session.client("ec2").terminate_instances(InstanceIds=[newer])


def test_a_run_goes_to_the_living_head_where_the_listed_one_refuses_it(
    desk: RunEnvironment, script: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (living,) = desk.instances("head")
    monkeypatch.setattr(submit, "find_head", lambda session: "i-00000000000000000")
    submitted = submit.submit(desk.session, desk.outputs, JobSpec(environment="desk", script=script))
    assert submitted.head == living
    told = desk.store.get_json(submitted.run_id, "submission.json") or {}
    assert told["instance_id"] == living
    wait_for(lambda: not read_run(desk.store, submitted.run_id).active, 120)


def test_a_lone_head_that_has_ended_is_said_to_be_gone(
    desk: RunEnvironment, script: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = run_files(desk)
    knowing(desk, monkeypatch, "i-00000000000000000")
    with pytest.raises(ActError, match="the head node of desk does not answer"):
        submit.submit(desk.session, desk.outputs, JobSpec(environment="desk", script=script))
    assert run_files(desk) == before


def test_outputs_are_read_from_where_the_fleet_stack_puts_them(desk: RunEnvironment) -> None:
    assert read_outputs(desk.session) == desk.outputs
    nowhere = replace(desk.session, spec=desk.session.spec.model_copy(update={"name": "nowhere"}))
    with pytest.raises(UserError, match="fleetform up nowhere"):
        read_outputs(nowhere)


@pytest.mark.torch
def test_a_script_runs_under_the_launcher_and_its_end_is_recorded_once(
    desk: RunEnvironment, tmp_path: Path
) -> None:
    (tmp_path / "helper.py").write_text("WORD = 'helped'\n")
    (tmp_path / "train.py").write_text(
        "import os, sys\nfrom helper import WORD\n"
        "print(WORD, os.environ['RANK'], os.environ['WORLD_SIZE'], sys.argv[1])\n"
        "sys.exit(int(sys.argv[2]))\n"
    )
    told = "node 0: helped 0 2 a b (rank 0 (node 0) ended with exit code 5 "
    for code, state, cause in ((0, "SUCCEEDED", ""), (5, "FAILED", told)):
        job = JobSpec(
            environment="desk",
            script=tmp_path / "train.py",
            arguments=("a b", str(code)),
            procs_per_node=2,
        )
        run_id = submit.submit(desk.session, desk.outputs, job).run_id
        run = _wait(desk, run_id)
        assert run["state"] == state
        log = (desk.store.get(run_id, "logs/node-0.log") or b"").decode()
        assert {"helped 0 2 a b", "helped 1 2 a b"} <= set(log.splitlines())
        # Either process may have had the last word.
        said = run["cause"].replace("helped 1", "helped 0").replace("rank 1", "rank 0")
        assert said.startswith(cause) and bool(said) == bool(cause)
        for _ in range(2):
            settle_all(desk.store, desk.session.ledger)
        ended = [
            entry
            for entry in desk.session.ledger.entries()
            if (entry["event"], entry["target"]) == ("run.ended", run_id)
        ]
        assert [entry["details"]["state"] for entry in ended] == [state]
        (node,) = desk.instances("node")
        assert runs_on(desk.session, node)[-1] == run_id
        assert run_id not in runs_on(desk.session, desk.instances("head")[0])


@pytest.mark.torch
def test_a_recipe_trains_on_the_dataset_that_was_sent_along(desk: RunEnvironment) -> None:
    job = JobSpec(environment="desk", recipe="digits", overrides=("samples=256",), procs_per_node=1)
    run_id = submit.submit(desk.session, desk.outputs, job).run_id
    run = _wait(desk, run_id)
    assert run["state"] == "SUCCEEDED", desk.store.get(run_id, "logs/node-0.log")
    dataset = (desk.store.get_json(run_id, "run.json") or {})["dataset"]
    key = f"{dataset['sha256']}/{dataset['files'][0]['name']}"
    assert desk.store.s3.head_object(Bucket=desk.outputs.dataset_bucket, Key=key)["ContentLength"] > 0
    assert {"summary.json", "metrics.jsonl", "model/model.safetensors"} <= set(desk.store.sizes(run_id))
    receipt = desk.store.get_json(run_id, "receipt.json") or {}
    assert list(receipt["phases"]) == ["submitted", "dispatched", "claimed", "started", "first_step", "ended"]


def _wait(desk: RunEnvironment, run_id: str) -> dict[str, Any]:
    import time

    deadline = time.monotonic() + 180
    while (run := read_run(desk.store, run_id)).active:
        assert time.monotonic() < deadline, run
        time.sleep(0.2)
    return run.to_dict()


def test_a_dataset_is_prepared_and_uploaded_once(desk: RunEnvironment, tmp_path: Path) -> None:
    project = Project(root=tmp_path, home=tmp_path)
    first = datasets.prepare(project, "digits")
    written = {path: path.stat().st_mtime_ns for path in first.folder.iterdir()}
    assert datasets.prepare(project, "digits") == first
    assert {path: path.stat().st_mtime_ns for path in first.folder.iterdir()} == written
    s3 = desk.session.client("s3")
    datasets.upload(s3, desk.outputs.dataset_bucket, first)
    key = f"{first.sha256}/{first.files[0].name}"
    when = s3.head_object(Bucket=desk.outputs.dataset_bucket, Key=key)["ETag"]
    s3.put_object(Bucket=desk.outputs.dataset_bucket, Key=key, Body=b"x" * first.files[0].size)
    datasets.upload(s3, desk.outputs.dataset_bucket, first)  # the same size: it is taken to be there
    assert s3.head_object(Bucket=desk.outputs.dataset_bucket, Key=key)["ETag"] != when


def test_a_dataset_that_cannot_be_made_is_a_failure_in_the_trainer_s_words(tmp_path: Path) -> None:
    with pytest.raises(ActError, match="the dataset nonsense can't be prepared"):
        datasets.prepare(Project(root=tmp_path, home=tmp_path), "nonsense")


def write(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)


def members(archive: code_archive.CodeArchive) -> set[str]:
    with tarfile.open(fileobj=io.BytesIO(archive.body)) as tar:
        return set(tar.getnames())


def test_the_same_files_make_the_same_archive(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write(tmp_path / name, "train.py", "lib/model.py")
    (tmp_path / "two" / "train.py").touch()
    one, two = (code_archive.pack(tmp_path / name) for name in ("one", "two"))
    assert one == two
    write(tmp_path / "two", "more.py")
    assert code_archive.pack(tmp_path / "two").sha256 != one.sha256


def test_secrets_history_and_environments_stay_at_home(tmp_path: Path) -> None:
    write(
        tmp_path,
        "train.py",
        "data/labels.csv",
        ".env",
        ".git/HEAD",
        "__pycache__/train.pyc",
        "venv/pyvenv.cfg",
    )
    write(tmp_path, "venv/lib/x.py", "runs/r/run.json", "node_modules/x.js")
    assert members(code_archive.pack(tmp_path)) == {"train.py", "data/labels.csv"}


def test_a_folder_that_is_too_large_names_its_largest_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(code_archive, "LIMIT_BYTES", 1000)
    write(tmp_path, "train.py")
    (tmp_path / "weights.bin").write_bytes(b"w" * 5000)
    with pytest.raises(UserError, match=r"the largest files are weights\.bin"):
        code_archive.pack(tmp_path)


def test_what_a_script_was_started_with_is_no_part_of_the_ledger(desk: RunEnvironment, script: Path) -> None:
    job = JobSpec(environment="desk", script=script, arguments=("--token", "s3cr3t"), nodes=9)
    with pytest.raises(UserError):
        submit.submit(desk.session, desk.outputs, job)
    assert "s3cr3t" not in json.dumps(desk.session.ledger.entries())
