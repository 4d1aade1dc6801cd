"""Money as people who type see it: `fleetform budget`, `fleetform run --estimate`, and the refusal."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from fleet.cloud import Cloud
from fleet.declare import declare
from fleet.project import Project
from scripts import cli
from tests.run_environment import INSTANCE_TYPE, REGION, RunEnvironment, build

pytestmark = pytest.mark.sandbox


@pytest.fixture(scope="module")
def stall(
    sandbox: Cloud, sandbox_home: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunEnvironment]:
    root = tmp_path_factory.mktemp("project")
    declare(
        root, "stall", team="tests", owner="tests@example.com", region=REGION, usd_per_month=5,
        instance_type=INSTANCE_TYPE, nodes=1, organization="run-tests",
    )  # fmt: skip
    (root / "ok.py").write_text("print('done')\n")
    environment = build(sandbox, Project(root=root, home=sandbox_home), "stall", nodes=1)
    yield environment
    environment.remove()


@pytest.fixture(autouse=True)
def _in_the_project(stall: RunEnvironment, sandbox_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(stall.session.project.root)
    monkeypatch.setenv("FLEETFORM_HOME", str(sandbox_home))
    monkeypatch.setenv("FLEETFORM_CLOUD", "sandbox")


def test_the_budget_is_told_as_a_table_and_as_data_that_add_up(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["budget", "stall", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["format"], told["limit"], told["reservations"]) == ("fleetform-budget/1", 5.0, {})
    assert 0 < told["spent"] == told["machines"] + told["torn_down"] + told["runs"]
    assert told["left"] == pytest.approx(5.0 - told["spent"])
    assert cli.main(["budget", "stall"]) == 0
    said = capsys.readouterr()
    assert "machines: the catalogue of fleetform" in said.err, "the embedded cloud has no price list"
    assert "AWS Budgets does not count yet: `fleetform up stall` puts it under the budget" in said.err
    lines = said.out.splitlines()
    assert [line.split()[0] for line in lines[2:]] == ["machines", "torn", "runs", "spent", "the", "left"]
    assert lines[-2].endswith("5.00")


def test_an_estimate_starts_nothing_and_says_what_is_not_known(
    stall: RunEnvironment, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["run", "stall", "--estimate", "--max-minutes", "30", "--recipe", "digits"]
    assert cli.main(arguments) == 0
    expected, most, left = capsys.readouterr().out.splitlines()[2:]
    assert expected.split()[:3] == ["expected", "unknown", "unknown"] and "nothing like it" in expected
    assert most.split()[:5] == ["at", "most", "30.0", "min", "0.50"]
    assert left.split()[0] == "left" and left.rstrip().endswith(
        f"of 5.00 USD for {datetime.datetime.now(datetime.UTC):%Y-%m}"
    )
    assert stall.store.run_ids() == []
    assert cli.main([*arguments[:3], "--json", *arguments[3:]]) == 0
    assert json.loads(capsys.readouterr().out)["expected"]["seconds"] is None


@pytest.mark.parametrize("estimate", [["--estimate"], []], ids=["estimate", "run"])
def test_what_the_budget_does_not_allow_is_refused_with_what_would_fit(
    stall: RunEnvironment, estimate: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["run", "stall", *estimate, "--", "ok.py"]) == 2
    told = capsys.readouterr().err
    assert told.startswith(
        "error: budget.usd_per_month: it may cost up to 24.14 USD (1 node for 1440 minutes"
    )
    assert "ask for less, which would fit: `--max-minutes 2" in told
    assert stall.store.run_ids() == []


def test_a_resume_takes_no_estimate(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["run", "stall", "--resume", "20261122-170203-abcde", "--estimate"]) == 2
    assert "a run is resumed as it was submitted" in capsys.readouterr().err
