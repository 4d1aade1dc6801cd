"""`fleetform audit` over an account with a record: who was in a machine, the trail, the ledger."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from fleet.ledger import Ledger
from scripts.cli import main
from tests.environment_parts import ORGANIZATION, REGION
from tests.iam_helpers import ACCOUNT
from tests.record_lab import ENVIRONMENT, MEMBER, RecordLab, record_lab
from tests.sandbox_helpers import api
from tests.spec_files import environment_text, write_folder

pytestmark = pytest.mark.sandbox
LATER = ("--until", "2100-01-01")
"""The lab's clock is ahead of this machine's."""


@pytest.fixture(scope="module")
def lab() -> Iterator[RecordLab]:
    """An account with a trail, in an embedded cloud of its own."""
    with record_lab() as made:
        text = f'organization = "{ORGANIZATION}"\nregion = "{REGION}"\n'
        write_folder(made.session.project.root, text, **{ENVIRONMENT: environment_text(ENVIRONMENT)})
        yield made


@pytest.fixture(autouse=True)
def here(lab: RecordLab, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand in the lab's project."""
    monkeypatch.chdir(lab.session.project.root)
    monkeypatch.setenv("FLEETFORM_HOME", str(lab.session.project.home))


def since(time: datetime) -> tuple[str, str]:
    """Return the option for what happened from then on."""
    return "--since", f"{time:%Y-%m-%dT%H:%M:%S}"


def enter(lab: RecordLab, reason: str) -> str:
    """Enter the machine as Ann, and leave it; return the session's id."""
    ann = lab.member("ann")
    begun = ann.start_session(Target=lab.machine, DocumentName=lab.document, Reason=reason)["SessionId"]
    ann.terminate_session(SessionId=begun)
    lab.deliver()
    return str(begun)


def answer(capsys: pytest.CaptureFixture[str]) -> Any:
    """Return what was printed as data."""
    return json.loads(capsys.readouterr().out)


def test_entered_answers_with_each_row_and_what_is_not_known(
    lab: RecordLab, capsys: pytest.CaptureFixture[str]
) -> None:
    began = lab.window()
    begun = enter(lab, "look at the disk")
    assert main(["audit", "entered", ENVIRONMENT, lab.machine, *since(began), *LATER, "--json"]) == 0
    told = answer(capsys)
    assert (told["format"], told["instance"]) == ("fleetform-entered/1", lab.machine)
    (row,) = told["rows"]
    assert (row["person"], row["reason"], row["completeness"]) == ("ann", "look at the disk", "recorded")
    assert f"session:{begun}" in row["evidence"]
    assert told["findings"] == []
    assert any(each.startswith("flow logs") for each in told["gaps"])


def test_entered_says_who_and_how_and_obeys_nothing_that_somebody_wrote_as_a_reason(
    lab: RecordLab, capsys: pytest.CaptureFixture[str]
) -> None:
    began = lab.window()
    enter(lab, "look\x1b[2J\nto explain: nothing")
    assert main(["audit", "entered", ENVIRONMENT, lab.machine, *since(began), *LATER]) == 0
    text = capsys.readouterr().out
    assert "entered by Session Manager" in text
    assert "\x1b" not in text
    assert not [line for line in text.splitlines() if line.startswith("to explain:")]


def test_entered_exits_with_4_where_somebody_has_something_to_explain(
    lab: RecordLab, capsys: pytest.CaptureFixture[str]
) -> None:
    began = lab.window()
    api(lab.cloud, "ec2").get_password_data(InstanceId=lab.machine)
    api(lab.cloud, "ssm").send_command(
        DocumentName="AWS-RunShellScript", InstanceIds=[lab.machine], Parameters={"commands": ["true"]}
    )
    lab.deliver()
    assert main(["audit", "entered", ENVIRONMENT, lab.machine, *since(began), *LATER]) == 4
    text = capsys.readouterr().out
    assert "to explain: " in text
    assert "nothing says which person that is" in text


def test_entered_takes_a_machines_id_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", "entered", ENVIRONMENT, "gpu-1"]) == 2
    assert "is not the id of a machine" in capsys.readouterr().err


def test_trail_tells_sound_files_from_those_that_are_not(
    lab: RecordLab, capsys: pytest.CaptureFixture[str]
) -> None:
    began = lab.window()
    api(lab.cloud, "ec2").describe_regions()
    lab.seal()
    assert main(["audit", "trail", *since(began), *LATER]) == 0
    text = capsys.readouterr().out
    assert f"{REGION}: signed digests reach to" in text
    assert text.rstrip().endswith(": sound")
    gone = lab.keys("CloudTrail")[-2]
    lab.destroy(gone)
    assert main(["audit", "trail", *since(began), *LATER, "--json"]) == 1
    assert [(each["kind"], each["name"]) for each in answer(capsys)["findings"]] == [("missing", gone)]


def test_trail_and_log_take_any_time(capsys: pytest.CaptureFixture[str]) -> None:
    for verb in ("trail", "log"):
        assert main(["audit", verb, "--since", "9999-12-31"]) in (0, 1)
        assert main(["audit", verb, "--since", "0001-01-01"]) in (0, 1)
    assert "Traceback" not in capsys.readouterr().err


def test_log_refuses_what_no_entry_can_fit_and_says_of_how_many_none_does(
    lab: RecordLab, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["audit", "log", "--server", "gpu-1"]) == 2
    assert "--server: 'gpu-1' is not the id of a machine" in capsys.readouterr().err
    assert main(["audit", "log", "--since", "2026-12-01", "--until", "2026-11-01"]) == 2
    assert "--until: it ends before it begins" in capsys.readouterr().err
    lab.session.ledger.append("test.none", "elsewhere", "recorded", {})
    assert main(["audit", "log", "--person", "nobody"]) == 0
    assert f"none of the ledger's {lab.session.ledger.tail()[0]} entries fits" in capsys.readouterr().err


def test_log_finds_a_persons_acts_those_since_a_time_and_the_last_ones(
    lab: RecordLab, capsys: pytest.CaptureFixture[str]
) -> None:
    for who in ("ann", "ben", "ann"):
        caller = f"arn:aws:sts::{ACCOUNT}:assumed-role/{MEMBER}/{who}"
        Ledger(lab.cloud, lab.bucket, REGION, caller).append("test.log", "vision", "recorded", {"who": who})
    found = {}
    for name, options in {
        "ann": ["--person", "ann", "--event", "test.log"],
        "last": ["--last", "2"],
        "last of ann": ["--person", "ann", "--last", "1"],
        "later": ["--since", "2100-01-01"],
        "all": ["--since", "2020-01-01", "--target", "vision"],
    }.items():
        assert main(["audit", "log", "--json", *options]) == 0
        found[name] = [each["details"]["who"] for each in answer(capsys)]
    assert found == {
        "ann": ["ann", "ann"],
        "last": ["ben", "ann"],
        "last of ann": ["ann"],
        "later": [],
        "all": ["ann", "ben", "ann"],
    }


def test_log_finds_what_concerns_a_server_an_environment_or_a_run_by_its_index(
    lab: RecordLab, capsys: pytest.CaptureFixture[str]
) -> None:
    ledger = lab.session.ledger
    ledger.append("test.find", lab.machine, "recorded", {"environment": "found", "n": 1})
    ledger.append("run.submit", "found", "recorded", {"run_id": "20261123-010203-found", "n": 2})
    ran = {"instances": ["i-0123456789abcdef0", lab.machine], "n": 3}
    ledger.append("run.ended", "20261123-010203-found", "failed", ran)
    found = {}
    for options in (
        ["--server", lab.machine],
        ["--server", "i-0123456789abcdef0"],
        ["--environment", "found"],
        ["--environment", "found", "--last", "1"],
        ["--run", "20261123-010203-found"],
        ["--run", "20261123-010203-found", "--outcome", "failed"],
        ["--environment", "found", "--event", "run."],
        ["--environment", "found", "--until", "2020-01-01"],
        ["--environment", "found", "--rebuild"],
    ):
        assert main(["audit", "log", "--json", *options]) == 0
        found[" ".join(options)] = [each["details"]["n"] for each in answer(capsys)]
    assert list(found.values()) == [[1, 3], [3], [1, 2, 3], [3], [2, 3], [3], [2, 3], [], [1, 2, 3]]
    assert list(lab.session.project.home.glob("ledger/*/*.sqlite3"))
    assert main(["audit", "log", "--run", "20261123-010203-found"]) == 0
    assert capsys.readouterr().out.count("20261123-010203-found") == 1, "its submission's target is found"
