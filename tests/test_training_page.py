"""docs/training.md: its three ways in are run as they stand there, and its tables are those of the code."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.dial_table import dial_table
from trainer.engine.hooks import MOMENTS

pytestmark = pytest.mark.torch

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the files that the page shows, under the names that it gives them."""
    files = re.findall(r"^`(\S+\.(?:py|toml))`[^\n]*:\n\n```\w+\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert [name for name, _ in files] == ["hello.py", "loop.py", "digits-small.toml"]
    for name, text in files:
        (tmp_path / name).write_text(text)
    return tmp_path


def shell(folder: Path, command: str) -> str:
    """Run one of the page's command lines in the folder; return what it printed."""
    assert command in PAGE
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FLEETFORM_")}
    environment |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(folder / "cache")}
    words = [sys.executable, *command.split()[1:]]
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_script_as_it_is_runs_on_two_processes(folder: Path) -> None:
    assert "on 2 processes" in shell(folder, "python -m trainer.launch --nproc-per-node 2 hello.py")


def test_a_loop_of_one_s_own_trains_and_knows_when_nothing_is_left(folder: Path) -> None:
    first = shell(folder, "python -m trainer.launch --nproc-per-node 2 loop.py")
    assert "step 200" in first
    assert (folder / "runs" / "loop" / "checkpoints" / "step-200" / "manifest.json").exists()
    assert "already trained" in shell(folder, "python loop.py")


def test_a_recipe_of_one_s_own_trains(folder: Path) -> None:
    assert "done: accuracy" in shell(folder, "python -m trainer digits-small.toml seed=2")


def test_the_tables_of_dials_and_moments_are_those_of_the_code() -> None:
    assert dial_table() in PAGE  # python -m tests.dial_table
    for moment, when in MOMENTS.items():
        assert f"| `{moment}` | {when} |" in PAGE
