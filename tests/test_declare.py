"""`fleetform init`: the file that it writes passes the check, and nothing is ever overwritten."""

from __future__ import annotations

import datetime
import tomllib
from pathlib import Path
from typing import Any

import pytest

from fleet.declare import declare
from stacks.environment import EnvironmentSpec, load_environment
from stacks.fields import documented
from stacks.guardrails import check_directory
from stacks.problems import UserError

ASKED: dict[str, Any] = {
    "team": "vision",
    "owner": "vision@example.com",
    "region": "us-east-1",
    "instance_type": "g5.xlarge",
    "nodes": 2,
}


def test_the_written_files_pass_the_check(tmp_path: Path) -> None:
    files = declare(tmp_path, "vision", **ASKED)
    assert [file.name for file in files] == ["account.toml", "vision.toml"]
    assert check_directory(tmp_path / "environments") == ([], [])


def test_what_was_asked_for_is_what_the_file_says(tmp_path: Path) -> None:
    day = datetime.datetime.now(datetime.UTC).date() + datetime.timedelta(days=90)
    asked = {**ASKED, "cidr": "192.168.0.0/20", "lease_ends": day, "on_teardown": "delete", "max_nodes": 3}
    *_, file = declare(tmp_path, "vision", **asked)
    spec = load_environment(file)
    assert (spec.team, spec.owner, spec.region) == ("vision", "vision@example.com", "us-east-1")
    assert spec.datasets.on_teardown == "delete"
    assert (str(spec.network.cidr), spec.lease_ends, spec.artifacts.on_teardown) == (
        "192.168.0.0/20",
        day,
        "delete",
    )
    fleet = spec.fleets["gpu"]
    assert (fleet.instance_type, fleet.nodes, fleet.max_nodes) == ("g5.xlarge", 2, 3)


def test_the_lease_is_thirty_days_where_nobody_says(tmp_path: Path) -> None:
    before = datetime.datetime.now(datetime.UTC).date()
    *_, file = declare(tmp_path, "vision", **ASKED)
    after = datetime.datetime.now(datetime.UTC).date()
    month = datetime.timedelta(days=30)
    assert before + month <= load_environment(file).lease_ends <= after + month


def test_every_setting_is_explained_where_it_stands(tmp_path: Path) -> None:
    *_, file = declare(tmp_path, "vision", **ASKED)
    text = " ".join(line.removeprefix("# ") for line in file.read_text().splitlines())
    for doc in documented(EnvironmentSpec):
        assert doc.doc in text, doc.path
        assert doc.table or f"{doc.path.rpartition('.')[2]} = " in text, doc.path


def test_a_default_that_is_uncommented_is_accepted_and_changes_nothing(tmp_path: Path) -> None:
    *_, file = declare(tmp_path, "vision", **ASKED)
    before = load_environment(file)
    text = file.read_text()
    file.write_text(
        "\n".join(line[1:] if line[:1] == "#" and line[1:2] != " " else line for line in text.splitlines())
    )
    assert "zones" in tomllib.loads(file.read_text())["network"]
    assert load_environment(file) == before


def test_a_second_environment_gets_a_network_of_its_own(tmp_path: Path) -> None:
    declare(tmp_path, "vision", **ASKED, cidr="10.20.240.0/20")
    files = declare(tmp_path, "speech", **ASKED)
    assert [file.name for file in files] == ["speech.toml"]
    assert str(load_environment(files[0]).network.cidr) == "10.21.0.0/16"
    assert check_directory(tmp_path / "environments") == ([], [])


def test_a_file_that_exists_is_not_overwritten(tmp_path: Path) -> None:
    *_, file = declare(tmp_path, "vision", **ASKED)
    before = file.read_bytes()
    with pytest.raises(UserError, match="the file exists"):
        declare(tmp_path, "vision", **{**ASKED, "nodes": 1})
    assert file.read_bytes() == before


def test_mistakes_are_told_by_option_all_at_once_and_nothing_is_written(tmp_path: Path) -> None:
    wrong = {**ASKED, "region": "us-east-9", "instance_type": "g5.xlrge", "nodes": 60, "cidr": "8.8.0.0/16"}
    with pytest.raises(UserError) as caught:
        declare(tmp_path, "vision", **wrong)
    told = [(problem.file, problem.path) for problem in caught.value.problems]
    assert told == [
        ("", "--region"),
        ("", "--cidr"),
        ("", "--instance-type"),
        ("", "--max-nodes"),
    ]
    assert not list(tmp_path.rglob("*"))


@pytest.mark.parametrize("name", ["Vision", "../vision", "a", 'x"\n[head'])
def test_a_name_that_cannot_be_one_is_refused_and_nothing_is_written(tmp_path: Path, name: str) -> None:
    project = tmp_path / "project"
    project.mkdir()
    with pytest.raises(UserError, match="NAME"):
        declare(project, name, **ASKED)
    assert list(tmp_path.rglob("*")) == [project]


def test_an_environment_cannot_take_the_accounts_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"account\.toml: the file exists"):
        declare(tmp_path, "account", **ASKED)
    assert not list(tmp_path.rglob("*"))


def test_an_organization_that_is_none_is_refused_with_the_rest(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"account\.toml: organization: 'A' does not have(.|\n)*--nodes: -1 is too"
    ):
        declare(tmp_path, "vision", **{**ASKED, "nodes": -1}, organization="A")


def test_an_overlap_with_another_environment_is_refused(tmp_path: Path) -> None:
    declare(tmp_path, "vision", **ASKED, cidr="10.50.0.0/16")
    with pytest.raises(
        UserError, match=r"--cidr: 10\.50\.1\.0/24 of speech overlaps 10\.50\.0\.0/16 of vision"
    ):
        declare(tmp_path, "speech", **ASKED, cidr="10.50.1.0/24")
    assert not (tmp_path / "environments/speech.toml").exists()


@pytest.mark.parametrize(("folder", "organization"), [("Acme AI (EU)", "acme-ai-eu"), ("42", "my-company")])
def test_the_account_is_named_after_the_folder_unless_told(
    tmp_path: Path, folder: str, organization: str
) -> None:
    root = tmp_path / folder
    root.mkdir()
    account, _ = declare(root, "vision", **ASKED)
    assert tomllib.loads(account.read_text())["organization"] == organization
