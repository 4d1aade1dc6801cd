"""A queue whose head starts, is replaced or does not answer: runs are told again, cancellations wait."""

from __future__ import annotations

import subprocess
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from fleet import queued
from fleet.cloud import Cloud
from fleet.errors import ActError
from fleet.job import JobSpec
from fleet.project import Project
from fleet.queue_acts import QueueRefusedError, act_on_run, queue_teller
from fleet.queued import await_queued
from fleet.run_control import cancel
from fleet.submit import submit
from node.slurm import client
from scripts import queue as queue_verb
from scripts import run as run_verb
from templates.engine import render
from templates.ssm_documents import QueueDocument
from tests.queue_desk import Desk, ago, build_desk

pytestmark = pytest.mark.sandbox
GONE = ("i-00000000000000000", str(uuid.uuid4()))
"""A head that is not there any more, and a command to it."""


@pytest.fixture(scope="module")
def desk(sandbox: Cloud, sandbox_home: Path) -> Iterator[Desk]:
    yield build_desk(sandbox, Project(root=sandbox_home, home=sandbox_home), "heads")


@pytest.fixture
def job(tmp_path: Path) -> JobSpec:
    script = tmp_path / "train.py"
    script.write_text("print('hello')\n")
    return JobSpec(environment="heads", script=script)


def run_of(desk: Desk, **more: Any) -> str:
    """Write a run that nobody has been told of yet; return its id."""
    run_id = f"20261122-170203-{uuid.uuid4().hex[:5]}"
    about = {"run_id": run_id, "environment": "heads", "fleet": "gpu", "nodes": 1, "scheduler": "slurm"}
    when = {
        "submitted": ago(0),
        "actor": "tests",
        "recipe": "",
        "script": "x.py",
        "max_minutes": 5,
        "procs_per_node": 1,
    }
    desk.store.put(run_id, "run.json", {**about, **when, **more})
    return run_id


@contextmanager
def heard(desk: Desk, told: Path) -> Iterator[None]:
    """Say that a run is queued once the head has written its id into that file."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.05):
            if told.exists() and (run_id := told.read_text().strip()):
                desk.say(run_id, "QUEUED")
                return

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def test_a_run_that_the_head_could_not_tell_its_queue_is_sent_again(
    desk: Desk, job: JobSpec, tmp_path: Path
) -> None:
    once, told = tmp_path / "once", tmp_path / "told"
    desk.answer(f"if [ ! -e {once} ]; then touch {once}; exit 75; fi; echo '{{{{ RunId }}}}' >{told}")
    with heard(desk, told):
        done = submit(desk.session, desk.outputs, job)
    assert done.queued and told.read_text().strip() == done.run_id
    (first,) = [each for each in commands(desk, done.run_id) if each["Status"] == "Failed"]
    submission = desk.store.get_json(done.run_id, "submission.json") or {}
    assert submission["command_id"] != first["CommandId"]


def commands(desk: Desk, run_id: str) -> list[dict[str, Any]]:
    listed = desk.session.client("ssm").list_commands()["Commands"]
    return [each for each in listed if each["Comment"] == run_id]


def test_a_run_whose_head_has_ended_is_sent_to_the_next(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id, told = run_of(desk), tmp_path / "told"
    desk.answer(f"echo '{{{{ RunId }}}}' >{told}")
    monkeypatch.setattr(queued, "_MACHINE_SECONDS", 0.0)
    with heard(desk, told):
        assert await_queued(desk.session, desk.outputs.run_document, run_id, 1, GONE)


def test_a_run_that_nobody_confirms_is_an_exit_code_of_its_own(
    desk: Desk, job: JobSpec, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    desk.answer("true")
    monkeypatch.setattr(queued, "HEAD_SECONDS", 0.5)
    monkeypatch.setattr(queued, "ANSWER_SECONDS", 0.1)
    session = SimpleNamespace(caller="tests", cloud=desk.session.cloud, spec=desk.session.spec)
    monkeypatch.setattr("fleet.session.open_session", lambda *about, **more: session)
    monkeypatch.setattr("fleet.environment.read_outputs", lambda *about: desk.outputs)
    monkeypatch.setattr(
        "fleet.submit.submit", lambda session, *more, **told: submit(desk.session, *more, **told)
    )
    assert run_verb._run(job, None, False, False) == 1
    said = capsys.readouterr()
    assert said.out.strip() in desk.store.run_ids()
    assert "has not answered yet" in said.err and "no head node has confirmed" in said.err


def test_a_cancellation_waits_for_a_head_and_for_a_run_that_is_still_on_its_way(
    desk: Desk, tmp_path: Path
) -> None:
    run_id, tell = run_of(desk), queue_teller(desk.session)
    desk.answer("echo 'this head node is still starting' >&2; exit 75")
    assert not tell("cancel", run_id)
    with pytest.raises(ActError, match="this head node is still starting; try again") as caught:
        act_on_run(desk.session, run_id, "hold")
    assert not isinstance(caught.value, QueueRefusedError)
    desk.answer("echo 'it is not in the queue' >&2; exit 1")
    assert not tell("cancel", run_id), "the queue has not got it yet"
    desk.say(run_id, "QUEUED")
    with pytest.raises(QueueRefusedError, match="it is not in the queue"):
        tell("cancel", run_id)


def test_the_time_to_end_begins_when_a_head_has_taken_the_cancellation(desk: Desk) -> None:
    run_id, asked = run_of(desk), list[float]()
    desk.say(run_id, "QUEUED")

    def tell(act: str, run: str) -> bool:
        asked.append(0)
        return False

    with pytest.raises(ActError, match="no head node has taken the cancellation"):
        cancel(desk.store, desk.session.ledger, run_id, "tests", tell=tell, wait_s=0, head_s=0.5)
    assert len(asked) > 1
    with pytest.raises(ActError, match="has not ended 0 s after"):
        cancel(desk.store, desk.session.ledger, run_id, "tests", tell=lambda *about: True, wait_s=0)


def test_the_queue_s_document_says_that_a_head_still_starts(tmp_path: Path) -> None:
    document = yaml.safe_load(render(QueueDocument(environment="lab", team="red")))
    lines = document["mainSteps"][0]["inputs"]["runCommand"]

    def act() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["sh", "-c", "\n".join(lines)], capture_output=True, text=True, check=False,
            env={"FLEETFORM_ROOT": str(tmp_path)},
        )  # fmt: skip

    assert (act().returncode, act().stderr.strip()) == (75, "this head node is still starting")
    program = tmp_path / "opt/fleetform/bin/fleetform-node"
    program.parent.mkdir(parents=True)
    program.write_text('#!/bin/sh\necho "$1 $6 $7"\n')
    program.chmod(0o755)
    (tmp_path / "var/fleetform").mkdir(parents=True)
    (tmp_path / "var/fleetform/ready").touch()
    assert act().stdout.strip() == "queue --team red"


def test_a_clerk_that_does_not_answer_is_told_apart_from_one_that_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FLEETFORM_RUN", str(tmp_path))
    monkeypatch.setattr(client, "_AWAY_SECONDS", 0.0)
    assert client.order("cancel", "r", "red") == client.EXIT_UNHEARD == 75
    assert "does not answer" in capsys.readouterr().err
    monkeypatch.setattr(client, "_exchange", lambda line: b'{"ok": false, "message": "no"}')
    assert client.order("cancel", "r", "red") == 1


def test_a_queue_that_has_not_been_published_for_long_is_shown_with_its_age(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("fleet.session.open_session", lambda environment, cloud: desk.session)
    for minutes, old in ((0.5, False), (200, True)):
        desk.put("cluster/queue.json", {"time": ago(minutes), "jobs": []})
        assert queue_verb.command.main(["heads"], standalone_mode=False) == 0
        assert ("has published none since" in capsys.readouterr().err) is old
