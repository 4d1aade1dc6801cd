"""How long a runner that is told to stop leaves its job, as it hears of a machine that is gone."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from node import runner as module
from node.alive import Heart
from node.config import NodeConfig
from node.part import RunPart
from node.process import JobProcess
from node.runner import Runner


class StubbornJob:
    """A job that hears of a stop and goes on until it is killed."""

    def __init__(self) -> None:
        self.exit_code: int | None = None
        self.told = 0

    def terminate(self) -> None:
        self.told += 1

    def kill_all(self) -> None:
        self.exit_code = 137


@pytest.fixture
def under_slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Runner:
    monkeypatch.setattr(Heart, "say", lambda self, state: None)
    monkeypatch.setattr(module, "_STOP_EVERY", 0.01)
    monkeypatch.setattr(module, "_TICK", 0.01)
    monkeypatch.setattr(module, "_HURRIED_GRACE_SECONDS", 0.05)
    config = NodeConfig(
        environment="lab", region="us-east-1", artifact_bucket="b", dataset_bucket="b", role="node",
        fleet="gpu", node_document="", storage_key="", python=sys.executable, root=tmp_path,
    )  # fmt: skip
    return Runner(config, RunPart("20261123-120000-abcde", 0, 2, "10.0.0.1", 20007, job_id=7))


def follow(runner: Runner, monkeypatch: pytest.MonkeyPatch, lost: Iterator[bool]) -> StubbornJob:
    """Tell the runner to stop, with those answers to whether a machine is gone, the last one for good."""
    answer = next(lost)

    def has_lost_a_node() -> bool:
        nonlocal answer
        now, answer = answer, next(lost, answer)
        return now

    monkeypatch.setattr(module, "has_lost_a_node", has_lost_a_node)
    job = StubbornJob()
    runner._on_signal(15, None)
    runner._accompany(cast(JobProcess, job))
    return job


def test_a_loss_that_slurm_tells_of_only_after_the_signal_ends_the_patience_with_the_job(
    under_slurm: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = follow(under_slurm, monkeypatch, iter((False, False, True)))
    assert job.told == 1
    assert under_slurm._patience == module._HURRIED_PATIENCE_SECONDS
    assert under_slurm._kill_at is not None
    assert under_slurm._kill_at < time.monotonic()


def test_a_job_whose_machines_are_all_there_has_all_of_its_grace(
    under_slurm: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_GRACE_SECONDS", 0.5)
    begin = time.monotonic()
    follow(under_slurm, monkeypatch, iter((False,)))
    assert under_slurm._kill_at is not None
    assert under_slurm._kill_at >= begin + 0.5
    assert under_slurm._patience == module._PATIENCE_SECONDS
