"""The console as a service: a unit that systemd takes, and that leaves acts alone when it is started anew."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from console.unit import unit
from fleet.identity import os_user
from fleet.project import Project
from scripts.cli import main
from stacks.problems import UserError
from templates.console_unit import ConsoleUnit
from templates.engine import render

pytestmark = pytest.mark.console
GOLDEN = Path(__file__).parents[1] / "golden" / "systemd" / "fleetform-console.service"


def test_the_unit_is_what_it_was() -> None:
    context = ConsoleUnit(user="fleetform", root="/srv/ai", python="/opt/fleetform/bin/python", cloud="aws")
    assert render(context) == GOLDEN.read_text(encoding="utf-8")


def test_systemd_takes_it(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("there is no systemd-analyze here")
    file = tmp_path / "fleetform-console.service"
    file.write_text(unit(Project(root=tmp_path, home=tmp_path), None), encoding="utf-8")
    told = subprocess.run(["systemd-analyze", "verify", str(file)], capture_output=True, text=True)
    about_it = [line for line in told.stderr.splitlines() if file.name in line]
    assert about_it == [], told.stderr


def test_it_is_for_who_asks_the_project_and_this_python(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "environments").mkdir()
    monkeypatch.chdir(tmp_path)
    assert main(["console", "--systemd-unit", "--cloud", "aws"]) == 0
    text = capsys.readouterr().out
    assert f"User={os_user()}\nWorkingDirectory={tmp_path}\n" in text
    assert f"ExecStart={sys.executable} -P -m scripts.cli console --cloud aws\n" in text
    assert "\nKillMode=process\n" in text


@pytest.mark.parametrize("name", ["a b", "50%", 'a"b', "a\nExecStart=x"])
def test_a_path_that_systemd_would_read_in_its_own_way_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match="characters that systemd reads in its own way"):
        unit(Project(root=tmp_path / name, home=tmp_path), None)
