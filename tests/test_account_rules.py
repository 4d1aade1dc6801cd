"""What is told of the account's file: what it leaves unseen, and what it sets without effect."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.cli import main
from stacks.guardrails import check_directory
from stacks.problems import Problem
from tests.spec_files import ACCOUNT, LONG_LEASES, environment_text, write_folder

TEXT = environment_text().replace("2026-12-31", "2035-12-31")


def warnings_of(root: Path, account: str = "", environment: str = TEXT) -> list[Problem]:
    errors, warnings = check_directory(
        write_folder(root, ACCOUNT + account + LONG_LEASES, vision=environment)
    )
    assert errors == []
    return warnings


def test_a_good_folder_has_no_warnings(tmp_path: Path) -> None:
    assert warnings_of(tmp_path) == []


@pytest.mark.parametrize(
    ("account", "path", "what", "do"),
    [
        ("[audit]\ntrail = false", "audit.trail", "nobody can say afterwards", "leave it true"),
        (
            "[audit]\ntrail = false\ndata_events = true",
            "audit.data_events",
            "ignored without a trail",
            "set audit.trail",
        ),
        (
            "[sessions]\nidle_minutes = 30\nmax_minutes = 20",
            "sessions.idle_minutes",
            "sessions end after 20 minutes",
            "shorter than sessions.max_minutes",
        ),
    ],
)
def test_a_setting_of_the_account_is_warned_of(
    tmp_path: Path, account: str, path: str, what: str, do: str
) -> None:
    (found,) = [each for each in warnings_of(tmp_path, account) if each.path == path]
    assert what in found.what
    assert do in found.do
    assert found.file.endswith("environments/account.toml")


def test_that_nobody_enters_machines_in_another_region_is_told(tmp_path: Path) -> None:
    (found,) = warnings_of(tmp_path, environment=TEXT.replace("us-east-1", "us-west-2"))
    assert (found.path, found.file.endswith("vision.toml")) == ("region", True)
    assert "us-east-1" in found.what


def test_check_shows_every_way_into_the_machines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_folder(tmp_path, ACCOUNT + "[audit]\ntrail = false" + LONG_LEASES, vision=TEXT)
    monkeypatch.chdir(tmp_path)
    assert main(["check", "vision", "--entry"]) == 0
    printed = capsys.readouterr()
    assert "ways into the machines of vision" in printed.out
    rows = {line[:48].strip(): line[49:].split()[0] for line in printed.out.splitlines() if len(line) > 60}
    assert rows["SSH port"] == "closed"
    assert rows["Run Command"] == "unrecorded"
    assert "audit.trail" in printed.err
