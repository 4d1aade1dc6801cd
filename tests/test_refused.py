"""What a role may not read of the record is told in fleetform's words: what, who may, what to do."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from fleet.cloud import Cloud
from fleet.project import Project
from fleet.session import open_session
from scripts.cli import main
from stacks import naming
from tests.iam_helpers import ACCOUNT
from tests.sandbox_helpers import REGION, api
from tests.spec_files import environment_text, write_folder
from tests.test_team_isolation import ACCOUNT_TEXT, NAME, ORGANIZATION, TABLES, Shared
from tests.test_team_isolation import shared as shared  # its environment
from tests.two_teams import take_on

pytestmark = pytest.mark.sandbox
RAW = ("An error occurred", "not authorized", "AccessDenied", "Traceback", "arn:aws")
"""What IAM and the clients say by themselves."""


@dataclass(frozen=True)
class Desk:
    """A project whose clouds are the account as each role sees it."""

    root: Path
    home: Path
    machine: str

    def ask(self, role: str, *words: str) -> int:
        """Give a command in that role; return its exit code."""
        named = {"MACHINE": self.machine, "OUT": str(self.root / f"pack-{role}.zip")}
        return main([*(named.get(word, word) for word in words), "--cloud", f"refused-{role}"])


@pytest.fixture(scope="module")
def desk(shared: Shared, tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """The shared environment with a ledger of three entries and a file of the trail's."""
    root = tmp_path_factory.mktemp("refused")
    text = environment_text(NAME, "10.93.0.0/16") + TABLES.format(account=ACCOUNT)
    write_folder(root, ACCOUNT_TEXT, **{NAME: text})
    account = {
        each: take_on(shared.console, naming.account_name(ORGANIZATION, each))
        for each in (naming.ROLE_AUDITOR, naming.ROLE_DEPLOYER)
    }
    clouds: dict[str, Cloud] = {
        "owner": shared.cloud,
        "member": shared.members[""],
        "team": shared.members["blue"],
        **account,
    }
    (root / "clouds").mkdir()
    for role, cloud in clouds.items():
        file = root / "clouds" / f"refused-{role}.json"
        file.write_text(json.dumps(dict(cloud.variables)), encoding="utf-8")
    session = open_session(NAME, "refused-owner", project=Project(root=root, home=root))
    for number in range(3):
        session.ledger.append("environment.up", NAME, "recorded", {"number": number})
    key = f"{naming.TRAIL_PREFIX}AWSLogs/{ACCOUNT}/CloudTrail/{REGION}/2026/11/23"
    name = f"{ACCOUNT}_CloudTrail_{REGION}_20261123T0000Z_a.json.gz"
    api(shared.cloud, "s3").put_object(Bucket=session.ledger.bucket, Key=f"{key}/{name}", Body=b"")
    return Desk(root, root, shared.head)


@pytest.fixture(autouse=True)
def here(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand in the project."""
    monkeypatch.chdir(desk.root)
    monkeypatch.setenv("FLEETFORM_HOME", str(desk.home))


SINCE = ("--since", "2026-11-22", "--until", "2026-11-25")
LEDGER = ("audit log", "audit log --last 2", "audit log --person ann", "audit entry 1", "audit verify")
RECORD = ("audit trail", f"audit entered {NAME} MACHINE {' '.join(SINCE)}")


def required(said: str, *parts: str) -> None:
    """Require one error that has these parts, and no raw word of the cloud's."""
    assert said.count("error:") == 1 and "failed:" not in said, said
    assert all(each in said for each in parts), said
    assert not [each for each in RAW if each in said], said


@pytest.mark.parametrize("words", [*LEDGER, *RECORD])
@pytest.mark.parametrize("role", ["member", "team"])
def test_a_members_question_to_the_record_is_refused_with_what_who_may_and_what_to_do(
    desk: Desk, role: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert desk.ask(role, *words.split()) == 2
    who = (
        "the auditor, the deployer and the account's owner may" if words in LEDGER else "the auditor and the"
    )
    required(capsys.readouterr().err, "your role may not read", who, "ask one of them", "docs/roles.md")


@pytest.mark.parametrize("role", ["auditor", "deployer", "owner"])
def test_who_is_named_may_read_the_ledger(desk: Desk, role: str, capsys: pytest.CaptureFixture[str]) -> None:
    for words in LEDGER:
        assert desk.ask(role, *words.split()) == 0, words
    assert "error" not in capsys.readouterr().err


def test_the_deployer_reads_no_trail_and_is_told_who_does(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    assert desk.ask("deployer", *RECORD[1].split()) == 2
    required(
        capsys.readouterr().err, "trail, sessions, transcripts", "the auditor and the account's owner may"
    )


@pytest.mark.parametrize("role", ["auditor", "owner"])
def test_who_is_named_may_read_who_was_in_a_machine(
    desk: Desk, role: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert desk.ask(role, *RECORD[1].split()) in (0, 4)
    said = capsys.readouterr()
    assert "error" not in said.err and not [each for each in RAW if each in said.out], said.out


@pytest.mark.parametrize("words", ["audit pack --to OUT", "sweep", "sweep --delete --yes"])
@pytest.mark.parametrize("role", ["member", "team"])
def test_packs_and_sweeps_of_a_member_are_refused_with_the_roles_that_an_account_has(
    desk: Desk, role: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert desk.ask(role, *words.split()) == 2
    asked = "ask somebody who is auditor or" if "pack" in words else "deployer"
    required(capsys.readouterr().err, "does not include", asked, "the account's owner", "docs/roles.md")


def test_what_a_member_is_told_of_costs_says_in_words_what_is_left_out(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    for role, more in (("member", ()), ("team", ("--team", "blue"))):
        assert desk.ask(role, "cost", NAME, *more) == 0
        said = capsys.readouterr().err
        assert not [each for each in RAW if each in said.replace("(AccessDenied)", "")], said
    assert desk.ask("team", "cost", NAME) == 2
    required(
        capsys.readouterr().err, "your role may not read the runs of all teams", "--team blue or --team green"
    )


def test_the_auditor_takes_a_pack_and_that_is_on_record(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    assert desk.ask("auditor", "audit", "pack", NAME, "--to", "OUT") == 0
    said = capsys.readouterr()
    assert "wrote" in said.out and not [each for each in RAW if each in said.err], said.err
    assert desk.ask("auditor", "audit", "log", "--person", "ann", "--event", "record.", "--json") == 0
    outcomes = [each["outcome"] for each in json.loads(capsys.readouterr().out)]
    assert outcomes[-2:] == ["started", "succeeded"]
