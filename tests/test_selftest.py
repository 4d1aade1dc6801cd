"""A selftest tries a fleet with real runs, keeps one page of what came out, and says what does not work."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from fleet.cloud import Cloud
from fleet.declare import declare
from fleet.project import Project
from scripts import cli
from tests.run_environment import INSTANCE_TYPE, REGION, RunEnvironment, build
from trainer.selftest import measure_files

pytestmark = pytest.mark.sandbox


@pytest.fixture(scope="module")
def yard(
    sandbox: Cloud, sandbox_home: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Path, RunEnvironment]]:
    root = tmp_path_factory.mktemp("project")
    declare(
        root, "yard", team="tests", owner="tests@example.com", region=REGION,
        instance_type=INSTANCE_TYPE, nodes=2, organization="run-tests",
    )  # fmt: skip
    environment = build(sandbox, Project(root=root, home=sandbox_home), "yard", nodes=2)
    yield root, environment
    environment.remove()


@pytest.fixture(autouse=True)
def _in_the_project(
    yard: tuple[Path, RunEnvironment], sandbox_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(yard[0])
    monkeypatch.setenv("FLEETFORM_HOME", str(sandbox_home))
    monkeypatch.setenv("FLEETFORM_CLOUD", "sandbox")


@pytest.mark.torch
def test_a_fleet_that_works_is_said_to_work_with_numbers(
    yard: tuple[Path, RunEnvironment], capsys: pytest.CaptureFixture[str]
) -> None:
    # Long enough to hear of a stop on a busy machine before its end.
    assert cli.main(["selftest", "yard", "--seconds", "8", "--mib", "4", "--json"]) == 0
    said = capsys.readouterr()
    report = json.loads(said.out)
    outcomes = {each["name"]: each for each in report["outcomes"]}
    assert list(outcomes) == ["all-reduce", "files", "training", "interruption"]
    assert all(each["ok"] for each in outcomes.values())
    assert outcomes["all-reduce"]["values"]["processes"] == 2
    places = {(each["node"], each["place"]) for each in outcomes["files"]["values"]["places"]}
    assert {(0, "run directory"), (1, "run directory"), (0, "scratch")} <= places
    interruption = outcomes["interruption"]["values"]
    assert interruption["resumed_from_step"] >= interruption["step"] > 0
    assert interruption["lost_steps"] == 0
    page = Path(report["folder"], "selftest.html").read_text()
    assert "everything works" in page and "File systems by node" in page
    assert "works  interruption: stopped after step" in said.err
    entries = yard[1].session.ledger.entries()
    assert [e["outcome"] for e in entries if e["event"] == "environment.selftest"] == ["started", "succeeded"]


def test_a_fleet_whose_runs_fail_is_said_not_to_work_and_the_page_says_why(
    yard: tuple[Path, RunEnvironment],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("fleet.submit.render_launch_script", lambda request: "echo no network >&2; exit 3\n")
    assert cli.main(["selftest", "yard", "--nodes", "1"]) == 1
    said = capsys.readouterr()
    assert "FAILED all-reduce: the run ended as FAILED: node 0: no network (exit code 3)" in said.err
    text = Path(said.out.partition(": ")[2].strip()).read_text()
    assert "this does not work: all-reduce, files, training, interruption" in text


@pytest.mark.parametrize(
    ("options", "what"),
    [
        (["--nodes", "3"], "3 nodes can't be tried"),
        (["--nodes", "0"], "0 nodes can't be tried"),
        (["--fleet", "cpu"], "which fleet is to be tried"),
    ],
)
def test_what_can_t_be_tried_is_refused(
    options: list[str], what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["selftest", "yard", *options]) == 2
    assert what in capsys.readouterr().err


def test_a_place_is_measured_and_left_as_it_was(tmp_path: Path) -> None:
    found = measure_files("here", tmp_path, 4, small=5)
    assert (found.mib, found.place) == (4, "here")
    assert min(found.write_mb_s, found.read_mb_s, found.small_files_s) > 0
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(OSError, match="No such file"):
        measure_files("there", tmp_path / "nowhere", 4)
