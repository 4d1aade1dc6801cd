"""The command's frame: verbs, help, and how errors become exit codes."""

from __future__ import annotations

import errno
import importlib
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

from fleet.errors import ActError
from scripts import cli
from scripts.console_io import table
from stacks.problems import Problem, UserError

ROOT = Path(__file__).parent.parent


def fleetform(*words: str, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a folder with no cloud chosen and no credentials at hand."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "FLEETFORM_"))}
    nowhere = {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
    environment = {
        **clean,
        **nowhere,
        "AWS_EC2_METADATA_DISABLED": "true",
        "PYTHONPATH": str(ROOT),
        **variables,
    }
    command = [sys.executable, "-m", "scripts.cli", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd, env=environment)


@pytest.mark.parametrize("verb", cli.VERBS)
def test_every_verb_loads_and_has_a_help(verb: str) -> None:
    command = importlib.import_module(cli.VERBS[verb][0]).command
    assert isinstance(command, click.Command)
    assert command.help, f"{verb} has no help"


@pytest.mark.parametrize("verb", cli.VERBS)
def test_every_option_of_every_verb_has_a_help_text(verb: str) -> None:
    command = importlib.import_module(cli.VERBS[verb][0]).command
    subcommands = list(command.commands.values()) if isinstance(command, click.Group) else [command]
    silent = [
        f"{verb} {option.name}"
        for each in subcommands
        for option in each.params
        if isinstance(option, click.Option) and not option.help
    ]
    assert not silent


def test_an_unknown_verb_is_refused_with_exit_code_2(tmp_path: Path) -> None:
    result = fleetform("upp", cwd=tmp_path)
    assert result.returncode == 2
    assert "No such command 'upp'" in result.stderr


def test_a_users_mistakes_are_all_printed_and_exit_with_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    where = {"file": "environments/vision.toml", "path": "fleets.gpu.nodes"}
    problems = [
        Problem(**where, what="60 nodes where 4 are allowed", do="lower it"),
        Problem(path="--nodes", what="not a number", do="give one"),
    ]

    def fail(**_: object) -> None:
        raise UserError(problems)

    monkeypatch.setattr(cli.cli, "main", fail)
    assert cli.main(["check"]) == 2
    assert capsys.readouterr().err == (
        "error: environments/vision.toml: fleets.gpu.nodes: 60 nodes where 4 are allowed\n    lower it\n"
        "error: --nodes: not a number\n    give one\n"
    )


def test_a_failed_act_is_one_line_and_exits_with_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(**_: object) -> None:
        raise ActError("no capacity for p5.48xlarge")

    monkeypatch.setattr(cli.cli, "main", fail)
    assert cli.main(["up"]) == 1
    assert capsys.readouterr().err == "failed: no capacity for p5.48xlarge\n"


def test_a_disk_that_is_full_is_said_in_a_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(**_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "/home/me/.fleetform/work")

    monkeypatch.setattr(cli.cli, "main", fail)
    assert cli.main(["up"]) == 1
    said = capsys.readouterr().err
    assert said == (
        "failed: no room is left on this machine's disk for /home/me/.fleetform/work: make some, and give "
        "the command again\n"
    )


def test_a_bug_of_ours_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**_: object) -> None:
        raise AssertionError("ours")

    monkeypatch.setattr(cli.cli, "main", fail)
    with pytest.raises(AssertionError):
        cli.main(["up"])


def test_an_interrupt_exits_with_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli.cli, "main", fail)
    assert cli.main(["up"]) == 130


def test_a_folder_without_environments_is_a_users_mistake(tmp_path: Path) -> None:
    result = fleetform("check", cwd=tmp_path)
    assert (result.returncode, "fleetform init" in result.stderr, "Traceback" in result.stderr) == (
        2,
        True,
        False,
    )


def test_an_unknown_cloud_is_a_users_mistake(tmp_path: Path) -> None:
    fleetform("init", "vision", "--team", "vision", "--owner", "kim@example.com", cwd=tmp_path)
    result = fleetform("audit", "log", "--cloud", "azure", cwd=tmp_path)
    assert (result.returncode, "--cloud" in result.stderr, "Traceback" in result.stderr) == (2, True, False)


def test_without_credentials_every_cloud_verb_says_how_to_get_them(tmp_path: Path) -> None:
    fleetform("init", "vision", "--team", "vision", "--owner", "kim@example.com", cwd=tmp_path)
    result = fleetform("audit", "log", cwd=tmp_path)
    assert (result.returncode, "fleetform sandbox start" in result.stderr) == (2, True)


def test_a_sandbox_that_is_not_running_is_one_clear_error(tmp_path: Path) -> None:
    fleetform("init", "vision", "--team", "vision", "--owner", "kim@example.com", cwd=tmp_path)
    (tmp_path / ".fleetform/clouds").mkdir(parents=True)
    (tmp_path / ".fleetform/cloud").write_text("sandbox\n")
    gone = (
        '{"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "y"}'
    )
    (tmp_path / ".fleetform/clouds/sandbox.json").write_text(gone)
    result = fleetform("audit", "log", cwd=tmp_path)
    assert result.returncode == 2
    assert "does not answer" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_table_aligns_its_columns() -> None:
    assert (
        table(("name", "n"), [("a", 1), ("bbbbb", 22)], right=(1,))
        == "name    n\n-----  --\na       1\nbbbbb  22"
    )
