"""Starters: what ships passes the check as it is, and what a project writes wrong is told."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import pytest

from fleet.declare import declare
from fleet.project import Project
from fleet.starters import find_starter, starters
from scripts import cli
from stacks.environment import load_environment
from stacks.guardrails import check_directory
from stacks.price_rules import costs_per_hour
from stacks.problems import UserError

GOOD = """\
instance_type = "g5.xlarge"
nodes = 1
max_nodes = 2

[en]
title = "Mine"
text = "For me."

[ko]
title = "나의 것"
text = "나를 위해."
"""
WHO: dict[str, Any] = {"team": "vision", "owner": "vision@example.com", "region": "us-east-1"}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path, tmp_path / ".fleetform")


def write(project: Project, **texts: str) -> None:
    folder = project.environments / "starters"
    folder.mkdir(parents=True)
    for name, text in texts.items():
        (folder / f"{name}.toml").write_text(text)


def test_those_that_ship_are_small_ones_first_and_declare_what_passes_without_a_warning(
    project: Project,
) -> None:
    found = starters(project)
    assert [each.name for each in found] == ["first-steps", "team", "large-models"]
    for number, each in enumerate(found):
        declare(project.root, f"trial{number}", **WHO, **each.settings())
        assert each.words("ko") != each.words("en") == each.words("fr")
    assert check_directory(project.environments) == ([], [])


def test_a_file_that_begins_so_says_what_the_starter_says(project: Project) -> None:
    write(project, mine=GOOD.replace("max_nodes = 2", "max_nodes = 2\nlease_days = 3\nusd_per_month = 2000"))
    *_, file = declare(project.root, "vision", **WHO, **find_starter(project, "mine").settings())
    spec = load_environment(file)
    fleet = spec.fleets["gpu"]
    assert (fleet.instance_type, fleet.nodes, fleet.max_nodes) == ("g5.xlarge", 1, 2)
    assert spec.budget.usd_per_month == 2000
    today = datetime.datetime.now(datetime.UTC).date()
    assert spec.lease_ends - today in (datetime.timedelta(days=3), datetime.timedelta(days=2))


def test_what_is_only_looked_at_is_not_written(project: Project) -> None:
    settings = find_starter(project, "team").settings()
    assert declare(project.root, "vision", **WHO, **settings, write=False) == []
    with pytest.raises(UserError):
        declare(project.root, "-vision", **WHO, **settings, write=False)
    assert not project.environments.exists()


def test_an_environment_that_begins_so_is_told_as_its_file_will_say_it(project: Project) -> None:
    starter = find_starter(project, "first-steps")
    *_, file = declare(project.root, "vision", **WHO, **starter.settings())
    written = load_environment(file)
    told = starter.environment("vision", **WHO, cidr=str(written.network.cidr))
    assert (told.fleets, told.budget, told.lease_ends) == (written.fleets, written.budget, written.lease_ends)


def test_a_starter_costs_what_the_environment_will_that_begins_with_it(project: Project) -> None:
    starter = find_starter(project, "team")
    *_, file = declare(project.root, "vision", **WHO, **starter.settings())
    spec = load_environment(file)
    for grown in (False, True):
        expected = sum(costs_per_hour(spec, "us-east-1", grown=grown).values())
        assert starter.usd_per_hour("us-east-1", grown=grown) == pytest.approx(expected)


def test_a_project_s_own_starters_stand_instead_of_those_that_ship(project: Project) -> None:
    write(project, mine=GOOD)
    assert [each.name for each in starters(project)] == ["mine"]
    with pytest.raises(UserError, match="there is no starter 'team'"):
        find_starter(project, "team")


def test_a_starter_is_no_environment(project: Project) -> None:
    write(project, mine=GOOD)
    declare(project.root, "vision", **WHO, instance_type="g5.xlarge", nodes=1)
    assert check_directory(project.environments) == ([], [])


def test_everything_that_is_wrong_with_all_files_is_told_at_once(project: Project) -> None:
    wrong = GOOD.replace("g5.xlarge", "g5.xlrge").replace("max_nodes = 2", "max_nodes = 0")
    write(project, one=wrong, two=GOOD.replace("nodes = 1\n", "").replace("[ko]", "[de]"), good=GOOD)
    with pytest.raises(UserError) as caught:
        starters(project)
    told = [(Path(problem.file).name, problem.path) for problem in caught.value.problems]
    assert told == [("one.toml", "max_nodes"), ("two.toml", "nodes"), ("two.toml", "ko"), ("two.toml", "de")]
    write_again = project.environments / "starters" / "one.toml"
    write_again.write_text(
        wrong.replace("max_nodes = 0", "max_nodes = 1").replace("nodes = 1", "nodes = 3", 1)
    )
    (project.environments / "starters" / "two.toml").unlink()
    with pytest.raises(UserError) as caught:
        starters(project)
    assert [each.path for each in caught.value.problems] == ["instance_type", "max_nodes"]
    assert "did you mean 'g5.xlarge'" in caught.value.problems[0].do


def test_init_begins_with_a_starter_and_its_options_change_it(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(project.root)
    asked = ["init", "vision", "--team", "vision", "--owner", "vision@example.com"]
    assert cli.main([*asked, "--starter", "team", "--nodes", "3", "--budget", "9000"]) == 0
    spec = load_environment(project.environment_file("vision"))
    fleet = spec.fleets["gpu"]
    assert (fleet.nodes, fleet.max_nodes, spec.budget.usd_per_month) == (3, 8, 9000)
    asked[1] = "speech"
    assert cli.main([*asked, "--starter", "teem"]) == 2
    assert "did you mean 'team'" in capsys.readouterr().err
    assert not project.environment_file("speech").exists()
