"""`fleetform enter`: in by our document alone, with a reason, on record from the request to the end."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fleet.enter import EVENT, Stay, enter
from fleet.entered import entered
from fleet.ledger import Ledger, LedgerError
from fleet.ledger_reading import Entry
from fleet.named_machines import find_machine
from fleet.session import Session
from fleet.session_plugin import RESPONSE, VARIABLE, Plugin, find_plugin
from fleet.typed_command import MOST_BYTES
from scripts.cli import main
from stacks import naming
from stacks.problems import UserError
from templates.engine import render
from templates.enter_texts import TypedCommand
from tests.entering import TypedStay, as_operator, make_operator, make_project, name_cloud
from tests.iam_helpers import acting, allow
from tests.record_lab import ENVIRONMENT, RecordLab, record_lab
from tests.sandbox_helpers import api

WHY = "look at the disk"
GOLDEN = Path(__file__).parent / "golden" / "enter"


@pytest.fixture(scope="module")
def lab() -> Iterator[RecordLab]:
    """An account with a record, somebody who may enter, and the project's files."""
    with record_lab() as made:
        make_operator(made)
        make_project(made)
        yield made


@pytest.fixture
def here(lab: RecordLab, monkeypatch: pytest.MonkeyPatch) -> str:
    """Stand in the lab's project; return the name of the cloud as Ann has it."""
    monkeypatch.chdir(lab.session.project.root)
    monkeypatch.setenv("FLEETFORM_HOME", str(lab.session.project.home))
    return name_cloud(lab, "ann", as_operator(lab).cloud)


def entries(lab: RecordLab) -> list[Entry]:
    """Return what the ledger has of entries."""
    return [each for each in lab.session.ledger.entries() if each["event"].startswith("server.")]


def run(session: Session, machine: str, command: str, said: list[bytes] | None = None) -> Stay:
    """Run a command on the machine as whoever's session it is."""
    heard = said if said is not None else []
    return enter(session, machine, WHY, command=command, tell=lambda text: None, say=heard.append)


def going_on(lab: RecordLab) -> list[str]:
    """Return the ids of the sessions that go on."""
    return [each["SessionId"] for each in api(lab.cloud, "ssm").describe_sessions(State="Active")["Sessions"]]


# ---------------------------------------------------------------------------------------- all the way


@pytest.mark.sandbox
def test_a_command_runs_on_the_machine_and_its_output_and_exit_code_come_back(
    lab: RecordLab, here: str, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    words = ["enter", ENVIRONMENT, lab.machine, "--reason", WHY, "--cloud", here]
    assert main([*words, "--command", 'echo it\\\'s "$FLEETFORM_NODE_ID"; echo two; exit 3']) == 3
    assert capfdbinary.readouterr().out == f"it's {lab.machine}\ntwo\n".encode()


@pytest.mark.sandbox
def test_a_stay_is_three_entries_of_the_ledger_and_one_row_of_the_timeline(lab: RecordLab) -> None:
    since, before = lab.window(), len(entries(lab))
    stay = run(as_operator(lab), lab.machine, "hostname")
    asked, begun, ended = entries(lab)[before:]
    assert [(each["event"], each["outcome"]) for each in (asked, begun, ended)] == [
        (EVENT, "started"),
        ("server.entered", "recorded"),
        (EVENT, "succeeded"),
    ]
    assert {each["target"] for each in (asked, begun, ended)} == {lab.machine}
    assert {each["actor"]["person"] for each in (asked, begun, ended)} == {"ann"}
    assert asked["details"] == {
        "environment": ENVIRONMENT, "node": lab.machine, "reason": WHY,
        "document": lab.document, "command": "hostname",
    }  # fmt: skip
    assert begun["details"]["session"] == ended["details"]["session"] == stay.session_id
    assert ended["details"]["seconds"] >= 0 and ended["details"]["exit_code"] == 0
    (row,) = entered(lab.session, lab.machine, since, lab.deliver()).rows
    assert (row.person, row.reason, row.completeness) == ("ann", WHY, "recorded")
    told = [f"ledger:{begun['sequence']}", f"ledger:{ended['sequence']}"]
    assert [each for each in row.evidence if each.startswith("ledger:")] == told
    assert row.ended is not None


@pytest.mark.sandbox
def test_the_transcript_lies_where_the_record_says_with_what_was_typed_in_clear(lab: RecordLab) -> None:
    stay = run(as_operator(lab), lab.machine, "echo -n a; echo b")
    key = stay.transcript.removeprefix(f"s3://{lab.bucket}/")
    text = api(lab.cloud, "s3").get_object(Bucket=lab.bucket, Key=key)["Body"].read().decode()
    assert "$ echo -n a; echo b" in text
    assert "ab\r\n" in text


@pytest.mark.sandbox
@pytest.mark.parametrize(
    ("command", "output", "code"),
    [
        ("echo 'open", b"", 2),
        ("cat", b"", 0),
        ("kill -9 $$", b"", 137),
        ("printf '\\xff'; head -c 200000 /dev/zero | tr '\\0' x", b"\xff" + b"x" * 200_000, 0),
    ],
)
def test_no_command_leaves_the_shell_waiting(lab: RecordLab, command: str, output: bytes, code: int) -> None:
    said: list[bytes] = []
    assert run(as_operator(lab), lab.machine, command, said).exit_code == code
    if output or not code:
        assert b"".join(said) == output


@pytest.mark.sandbox
def test_a_person_types_in_a_terminal_of_the_machine_and_leaves_it(lab: RecordLab, here: str) -> None:
    before = len(entries(lab))
    stay = TypedStay(lab, ENVIRONMENT, lab.machine, "--reason", WHY, "--cloud", here)
    stay.until("what is typed and shown is recorded")
    stay.type("echo in-$((40+2)); tty\n")
    stay.until("in-42")
    stay.until("/dev/pts/")
    stay.type("echo now-$((3+4)); sleep 1000\n")
    stay.until("now-7")
    stay.type("\x03")  # for the machine, not for the command
    stay.until("^C")
    stay.type("echo after-$((1+2)); exit\n")
    stay.until("after-3")
    stay.until("on record; the transcript")
    assert stay.end() == 0
    assert [each["outcome"] for each in entries(lab)[before:]] == ["started", "recorded", "succeeded"]


# ---------------------------------------------------------------------------------------- cut off


@pytest.mark.sandbox
def test_a_closed_terminal_ends_the_session_and_that_is_on_record(lab: RecordLab, here: str) -> None:
    before = len(entries(lab))
    stay = TypedStay(lab, ENVIRONMENT, lab.machine, "--reason", WHY, "--cloud", here)
    stay.type("echo in-$((40+2))\n")
    stay.until("in-42")
    os.kill(stay.process.pid, signal.SIGHUP)
    assert stay.end() == 130
    assert [each["outcome"] for each in entries(lab)[before:]] == ["started", "recorded", "interrupted"]
    assert going_on(lab) == []


@pytest.mark.sandbox
def test_the_end_of_a_stay_that_was_killed_is_put_on_record_by_the_next_one(
    lab: RecordLab, here: str
) -> None:
    before = len(entries(lab))
    stay = TypedStay(lab, ENVIRONMENT, lab.machine, "--reason", WHY, "--cloud", here)
    stay.type("echo in-$((40+2))\n")
    stay.until("in-42")
    os.killpg(stay.process.pid, signal.SIGKILL)
    stay.end()
    (left,) = going_on(lab)
    told: list[str] = []
    session = as_operator(lab)
    session = replace(session, cloud=replace(session.cloud, name=here))
    enter(session, lab.machine, WHY, command="true", tell=told.append, say=lambda said: None)
    _, _, closed, *_ = entries(lab)[before:]
    assert (closed["event"], closed["outcome"], closed["target"]) == (EVENT, "interrupted", lab.machine)
    assert closed["details"]["session"] == left
    assert closed["details"]["end"].startswith("ended at")
    assert any("was cut off" in each for each in told)
    assert going_on(lab) == []


@pytest.mark.sandbox
def test_of_a_killed_stay_that_nobody_knows_any_more_no_end_is_known(lab: RecordLab) -> None:
    folder = lab.session.project.work(lab.cloud.name, ENVIRONMENT) / "entries"
    folder.mkdir(parents=True, exist_ok=True)
    about = {
        "machine": "i-0123456789abcdef0",
        "session": "ann-0123456789abcdef0",
        "began": "2026-01-01T00:00:00Z",
    }
    (folder / "left.json").write_text(json.dumps(about), encoding="utf-8")
    run(as_operator(lab), lab.machine, "true")
    (closed,) = [each for each in entries(lab) if each["target"] == about["machine"]]
    assert (closed["outcome"], closed["details"]["end"]) == ("interrupted", "no end known")
    assert not (folder / "left.json").exists()


@pytest.mark.sandbox
def test_who_may_not_list_sessions_ends_a_killed_one_all_the_same(lab: RecordLab) -> None:
    left = lab.member("ann").start_session(Target=lab.machine, DocumentName=lab.document)["SessionId"]
    folder = lab.session.project.work(lab.cloud.name, ENVIRONMENT) / "entries"
    folder.mkdir(parents=True, exist_ok=True)
    about = {"machine": lab.machine, "session": left, "began": "2026-01-01T00:00:00Z"}
    (folder / "left.json").write_text(json.dumps(about), encoding="utf-8")
    rights = allow(["ssm:StartSession", "ssm:TerminateSession", "s3:*", "ec2:Describe*"])
    run(replace(lab.session, cloud=acting(lab.cloud, "no-lists", rights)), lab.machine, "true")
    (closed,) = [each for each in entries(lab) if each["outcome"] == "interrupted" and left in str(each)]
    assert closed["details"]["end"] == "no end known"
    assert going_on(lab) == []


# ---------------------------------------------------------------------------------------- fail closed


def test_what_is_typed_for_a_command_is_one_line_in_which_it_is_data() -> None:
    text = render(TypedCommand(encoded=base64.b64encode(b"echo it's").decode(), mark="0123456789abcdef"))
    assert text == (GOLDEN / "command.sh").read_text(encoding="utf-8")
    longest = render(TypedCommand(encoded=base64.b64encode(b"x" * MOST_BYTES).decode(), mark="0" * 16))
    assert len(longest) < 4096, "a terminal takes no longer line"


@pytest.mark.sandbox
def test_what_cannot_be_recorded_does_not_begin(lab: RecordLab) -> None:
    since = lab.window()
    nobody = replace(lab.session, cloud=acting(lab.cloud, "no-record", allow(["ssm:*", "ec2:Describe*"])))
    with pytest.raises(LedgerError):
        run(nobody, lab.machine, "true")
    assert entered(lab.session, lab.machine, since, lab.deliver()).rows == ()


@pytest.mark.sandbox
def test_a_session_that_cannot_be_recorded_once_it_has_begun_is_ended_at_once(
    lab: RecordLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Ledger.append

    def append(self: Ledger, event: str, *rest: Any) -> dict[str, Any]:
        if event == "server.entered":
            raise LedgerError("the bucket does not answer")
        return whole(self, event, *rest)

    monkeypatch.setattr(Ledger, "append", append)
    said: list[bytes] = []
    with pytest.raises(LedgerError):
        run(as_operator(lab), lab.machine, "echo in", said)
    assert said == [] and going_on(lab) == []


@pytest.mark.sandbox
def test_a_machine_whose_agent_does_not_answer_is_told_as_such_and_the_request_is_on_record(
    lab: RecordLab,
) -> None:
    ec2 = api(lab.cloud, "ec2")
    tags = [{"Key": naming.TAG_ENVIRONMENT, "Value": ENVIRONMENT}, {"Key": naming.TAG_ROLE, "Value": "node"}]
    (made,) = ec2.run_instances(
        ImageId="ami-12c6146b", MinCount=1, MaxCount=1, InstanceType="g5.xlarge",
        UserData="#!/bin/sh\nsleep 1000\n",
        TagSpecifications=[{"ResourceType": "instance", "Tags": tags}],
    )["Instances"]  # fmt: skip
    try:
        with pytest.raises(Exception, match="its agent does not answer"):
            run(as_operator(lab), made["InstanceId"], "true")
        assert entries(lab)[-1]["outcome"] == "failed"
    finally:
        ec2.terminate_instances(InstanceIds=[made["InstanceId"]])


# ---------------------------------------------------------------------------------------- refused


@pytest.mark.parametrize("reason", ["", "  ", "x" * 257, "two\nlines", "\x1b[2J"])
def test_a_reason_is_one_line_and_without_one_nobody_is_let_in(
    here: str, capsys: pytest.CaptureFixture[str], reason: str
) -> None:
    words = ["enter", ENVIRONMENT, "head", "--reason", reason, "--command", "a\nb", "--cloud", here]
    assert main(words) == 2
    said = capsys.readouterr().err
    assert "--reason: is no reason" in said
    assert "--command: has a line break" in said, "every problem at once"


def test_a_command_that_no_terminal_takes_as_one_line_is_refused(lab: RecordLab) -> None:
    with pytest.raises(UserError, match="2001 bytes long"):
        run(lab.session, lab.machine, "x" * 2001)


def test_in_another_region_than_the_accounts_nobody_is_let_in(lab: RecordLab) -> None:
    there = replace(lab.session, account=lab.session.account.model_copy(update={"region": "eu-central-1"}))
    with pytest.raises(UserError, match="the session document stands in eu-central-1 alone"):
        run(there, lab.machine, "true")


@pytest.mark.sandbox
def test_a_machine_that_there_is_not_is_answered_with_those_that_there_are(lab: RecordLab) -> None:
    with pytest.raises(UserError) as caught:
        find_machine(lab.session, "gpu-9")
    (problem,) = caught.value.problems
    assert problem.what == f"{ENVIRONMENT} has no machine gpu-9 that runs"
    assert lab.machine in problem.do
    assert find_machine(lab.session, lab.machine).id == lab.machine


@pytest.mark.sandbox
def test_a_machine_is_found_by_its_name_in_the_queue(lab: RecordLab) -> None:
    ec2 = api(lab.cloud, "ec2")
    named = [{"Key": naming.TAG_NODE, "Value": "gpu-1"}]
    ec2.create_tags(Resources=[lab.machine], Tags=named)
    try:
        assert str(find_machine(lab.session, "gpu-1")) == f"{lab.machine} (gpu-1)"
        with pytest.raises(UserError, match="did you mean gpu-1"):
            find_machine(lab.session, "gpu-11")
    finally:
        ec2.delete_tags(Resources=[lab.machine], Tags=named)


# ---------------------------------------------------------------------------------------- the plugin


def program(folder: Path, text: str) -> str:
    """Write a program that stands in for the plugin, and return its path."""
    file = folder / "session-manager-plugin"
    file.write_text(f"#!{sys.executable}\nimport json, os, sys\n{text}", encoding="utf-8")
    file.chmod(0o755)
    return str(file)


def test_without_the_plugin_it_says_what_to_install_and_nothing_is_begun(
    lab: RecordLab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    cloud = replace(lab.cloud, variables={**lab.cloud.variables, VARIABLE: ""})
    before = len(entries(lab))
    with pytest.raises(UserError, match="install AWS's Session Manager plugin"):
        run(replace(lab.session, cloud=cloud), lab.machine, "true")
    assert len(entries(lab)) == before


@pytest.mark.parametrize(("version", "taken"), [("1.2.497.0", False), ("1.2.536.0", True), ("none", False)])
def test_a_plugin_that_would_show_the_token_to_everybody_is_not_used(
    lab: RecordLab, tmp_path: Path, version: str, taken: bool
) -> None:
    path = program(tmp_path, f"print({version!r})")
    cloud = replace(lab.cloud, variables={**lab.cloud.variables, VARIABLE: path})
    if taken:
        assert find_plugin(cloud).command == (path,)
        return
    with pytest.raises(UserError, match="shows a session's token to everybody here"):
        find_plugin(cloud)


def test_the_plugin_gets_the_token_by_its_environment_and_not_in_its_arguments(
    lab: RecordLab, tmp_path: Path
) -> None:
    told = tmp_path / "told.json"
    path = program(tmp_path, f"json.dump([sys.argv[1:], os.environ[{RESPONSE!r}]], open({str(told)!r}, 'w'))")
    started = {"SessionId": "ann-1", "TokenValue": "secret-token", "StreamUrl": "wss://x", "Other": 1}
    carrier = Plugin((path,), lab.cloud).start(started, "i-1", "us-east-1", "http://127.0.0.1:1")
    assert carrier.wait() == 0
    arguments, response = json.loads(told.read_text(encoding="utf-8"))
    assert arguments == [RESPONSE, "us-east-1", "StartSession", "", '{"Target": "i-1"}', "http://127.0.0.1:1"]
    assert json.loads(response) == {key: started[key] for key in ("SessionId", "TokenValue", "StreamUrl")}


@pytest.mark.sandbox
def test_a_plugin_that_breaks_off_is_a_failure_and_the_session_is_ended(
    lab: RecordLab, tmp_path: Path
) -> None:
    path = program(tmp_path, "print('1.2.536.0') if sys.argv[1:] == ['--version'] else print('no network')")
    session = as_operator(lab)
    cloud = replace(session.cloud, variables={**session.cloud.variables, VARIABLE: path})
    with pytest.raises(Exception, match="the session ended before the command had; it said: no network"):
        run(replace(session, cloud=cloud), lab.machine, "true")
    assert entries(lab)[-1]["outcome"] == "failed"
    assert going_on(lab) == []


def test_the_sandboxs_plugin_tells_a_version_that_is_taken(lab: RecordLab) -> None:
    plugin = find_plugin(lab.cloud)
    said = subprocess.run([*plugin.command, "--version"], capture_output=True, text=True, check=True).stdout
    assert said.strip() == "1.2.764.0"
