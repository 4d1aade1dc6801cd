"""What the verbs answer as data, and that what they were asked for and left out is said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import fleet.plan_report
from fleet.estimate import estimate
from fleet.plan_report import PlanReport
from scripts import up
from scripts.cli import main
from tests.spec_files import ACCOUNT, environment_text, write_folder

LEASED = environment_text(lease_ends="lease_ends = 2035-12-31")
NOT_LIMITED = ACCOUNT + "\n[lease]\nmax_days = 3660\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in a project with the good environment `vision`, with no cloud at hand."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FLEETFORM_HOME", str(tmp_path / "home"))
    return write_folder(tmp_path, NOT_LIMITED, vision=LEASED)


def answer(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


def test_check_answers_with_every_key_whatever_it_was_asked(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", "--json"]) == 0
    found = answer(capsys)
    assert list(found) == ["format", "errors", "warnings", "scan", "addresses", "entry"]
    assert (found["format"], found["scan"], found["entry"]) == ("fleetform-check/1", None, None)


def test_what_check_could_not_do_is_a_warning_with_the_names(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "speech.toml").write_text("name =")
    assert main(["check", "speech", "--live", "--scan", "--entry", "--json"]) == 2
    found = answer(capsys)
    told = {each["path"]: each["what"] for each in found["warnings"]}
    assert told["--live"].startswith("the cloud was not asked about speech: ")
    assert told["--scan"].startswith("nothing was scanned: ")
    assert told["--entry"].startswith("the ways into the machines are not shown: ")
    assert (found["scan"], found["entry"]) == (None, None)


def test_up_shows_its_plan_beside_the_answer_which_is_data_even_where_nothing_was_to_do(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    nothing = estimate([], "us-east-1")
    plan = PlanReport(
        environment="vision", cloud="sandbox", region="us-east-1", stacks=(), settings=(), fleets=(),
        price=nothing, price_now=nothing, price_account=nothing,
    )  # fmt: skip
    monkeypatch.setattr(fleet.plan_report, "plan_report", lambda *_, **__: plan)
    monkeypatch.setattr(up, "confirm_possible", lambda _: None)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "none")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "none")
    assert main(["up", "vision", "--json"]) == 0
    printed = capsys.readouterr()
    found = json.loads(printed.out)
    assert (found["format"], found["environment"], found["stacks"]) == ("fleetform-up/1", "vision", [])
    assert "vision costs, at list price" in printed.err

    assert main(["up", "vision"]) == 0
    printed = capsys.readouterr()
    assert "vision costs, at list price" in printed.out
    assert printed.out.endswith("vision is what its file says\n")
