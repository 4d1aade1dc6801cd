"""What a dead machine leaves behind of a step on another one: ended, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from node.agent.left_steps import LEAST_SECONDS, LeftSteps, empty_steps
from node.slurm.tools import SlurmError


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """A machine with slurmd, three steps, of which one has a task, and a program that calls itself a step."""
    for pid, name, parent, title in (
        (40, "slurmd", 1, "/usr/sbin/slurmd -D"),
        (50, "slurmstepd", 1, "slurmstepd: [7.0]"),
        (60, "slurmstepd", 1, "slurmstepd: [8.0]"),
        (61, "python", 60, "python train.py"),
        (70, "slurmstepd", 1, "slurmstepd: [9.batch]"),
        (80, "python", 1, "slurmstepd: [7.0]"),
    ):
        folder = tmp_path / str(pid)
        folder.mkdir()
        (folder / "stat").write_text(f"{pid} ({name}) S {parent} 0 0")
        (folder / "cmdline").write_bytes(title.replace(" ", "\0").encode())
    (tmp_path / "meminfo").write_text("")
    return tmp_path


def test_a_step_without_a_task_is_told_from_what_runs_and_from_batch_steps(proc: Path) -> None:
    assert empty_steps(proc) == {50: "7"}


def test_an_empty_step_of_a_completing_job_is_ended_after_a_while(proc: Path) -> None:
    ended: list[int] = []
    steps = LeftSteps(lambda job: "COMPLETING", ended.append, proc)
    steps.look(100.0)
    steps.look(100.0 + LEAST_SECONDS / 2)
    assert ended == []
    steps.look(100.0 + LEAST_SECONDS)
    assert ended == [50]


def test_a_step_that_gets_a_task_in_between_begins_anew(proc: Path) -> None:
    ended: list[int] = []
    steps = LeftSteps(lambda job: "COMPLETING", ended.append, proc)
    steps.look(100.0)
    (proc / "61" / "stat").write_text("61 (python) S 50 0 0")
    steps.look(101.0)
    (proc / "61" / "stat").write_text("61 (python) S 60 0 0")
    steps.look(100.0 + LEAST_SECONDS)
    assert ended == []


@pytest.mark.parametrize("state", ["RUNNING", "CONFIGURING", ""])
def test_a_job_that_is_not_over_keeps_its_step(proc: Path, state: str) -> None:
    ended: list[int] = []
    steps = LeftSteps(lambda job: state, ended.append, proc)
    steps.look(100.0)
    steps.look(200.0)
    assert ended == []


def test_nothing_is_ended_where_slurm_cannot_be_asked(proc: Path) -> None:
    def silent(job: str) -> str:
        raise SlurmError("squeue", None, "squeue did not answer")

    ended: list[int] = []
    steps = LeftSteps(silent, ended.append, proc)
    steps.look(100.0)
    steps.look(200.0)
    assert ended == []
