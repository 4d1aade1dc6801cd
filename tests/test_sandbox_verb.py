"""`fleetform sandbox`: what it prints, its exit codes, and variables that other tools can use."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox import daemon

pytestmark = pytest.mark.sandbox
ROOT = Path(__file__).parents[1]


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "environments").mkdir()
    yield tmp_path
    daemon.stop(tmp_path / ".fleetform")


def fleetform(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            sys.executable,
            "-c",
            f"import sys; sys.path.insert(0, {str(ROOT)!r}); from scripts.cli import main; sys.exit(main())",
            "sandbox",
            *arguments,
        ],
        cwd=project,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_it_starts_is_found_and_stops(project: Path) -> None:
    assert fleetform(project, "status").returncode == 1
    started = json.loads(fleetform(project, "start", "--json").stdout)
    again = fleetform(project, "start", "--cores-per-node", "2")
    assert (again.returncode, "runs already" in again.stdout, "no effect" in again.stderr) == (0, True, True)
    other = fleetform(project, "start", "--scheduler", "slurm")
    assert "--scheduler has no effect: it runs already, with plain" in other.stderr
    assert "scheduler plain" in fleetform(project, "status").stdout
    gone = fleetform(project, "kill", "vision", "gpu-1")
    assert (gone.returncode, "there is no machine gpu-1" in gone.stderr) == (1, True)
    status = fleetform(project, "status", "--json")
    assert (status.returncode, json.loads(status.stdout)) == (0, started)
    assert fleetform(project, "stop").stdout.startswith("stopped")
    assert fleetform(project, "stop").stdout == "it was not running\n"


def test_it_starts_in_an_empty_folder_and_the_project_that_is_begun_there_finds_it(tmp_path: Path) -> None:
    try:
        started = fleetform(tmp_path, "start")
        assert started.returncode == 0, started.stderr
        assert f"next, in {tmp_path}: `fleetform init NAME`" in started.stdout
        (tmp_path / "environments").mkdir()
        (tmp_path / "environments" / "deep").mkdir()
        assert fleetform(tmp_path / "environments" / "deep", "status").stdout.startswith("running at")
        assert "next" not in fleetform(tmp_path, "start").stdout
        assert fleetform(tmp_path, "stop").stdout.startswith("stopped")
    finally:
        daemon.stop(tmp_path / ".fleetform")


def test_its_variables_lead_other_tools_to_it(project: Path) -> None:
    fleetform(project, "start")
    variables = f'{sys.executable} -c "$PROGRAM" sandbox env --region eu-central-1'
    script = f'eval "$({variables})"; aws sts get-caller-identity'
    program = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from scripts.cli import main; sys.exit(main())"
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    result = subprocess.run(
        ["sh", "-c", script],
        cwd=project,
        env={"PROGRAM": program, "PATH": path},
        capture_output=True,
        text=True,
    )
    assert json.loads(result.stdout)["Account"] == "123456789012", result.stderr


def test_the_variables_of_a_cloud_that_does_not_run_are_refused(project: Path) -> None:
    result = fleetform(project, "env")
    assert (result.returncode, result.stdout) == (2, "")
    assert "fleetform sandbox start" in result.stderr
