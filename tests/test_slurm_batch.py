"""The batch step of a run where Slurm's controller or the bucket is away; Slurm is stood in for."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from node.config import NodeConfig
from node.slurm import batch, surroundings, tools
from node.slurm.batch import Batch, Terms
from node.slurm.verdicts import EXIT_REQUEUE

AWAY = tools.SlurmError("scontrol", 1, "slurm_load_node error: Unable to contact slurm controller")
HERE = [tools.NodeState("gpu-1", "ALLOCATED", frozenset(), "", "10.0.0.7")]
TERMS = Terms(attempt=1, turns_before=0, crashes=1, limit_seconds=60, image="registry#team/train:1")


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> NodeConfig:
    """A node on which Slurm has started a job, whose every pause is short."""
    slurm = {"JOB_NAME": "20261122-110000-abcde", "JOB_ID": "7", "NNODES": "2", "JOB_NODELIST": "gpu-[1-2]"}
    for name, value in slurm.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    monkeypatch.setenv("SLURMD_NODENAME", "gpu-1")
    monkeypatch.setattr(batch, "_AGAIN_SECONDS", 0.01)
    return NodeConfig(
        environment="lab", region="us-east-1", artifact_bucket="b", dataset_bucket="b", role="node",
        fleet="gpu", node_document="", storage_key="", python=sys.executable, root=tmp_path,
    )  # fmt: skip


def answering(*answers: Any) -> Callable[..., Any]:
    """Return what gives these answers in turn, errors raised."""
    left = list(answers)

    def answer(*arguments: Any, **settings: Any) -> Any:
        found = left.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    return answer


@pytest.mark.parametrize(
    "text",
    [
        "sbatch: error: Batch job submission failed: Unexpected missing socket error",
        "sbatch: error: Batch job submission failed: Zero Bytes were transmitted or received",
        "sbatch: error: Batch job submission failed: Message receive failure",
        "slurm_load_jobs error: Unable to contact slurm controller (connect failure)",
    ],
)
def test_what_is_said_of_a_controller_that_dies_in_the_middle_of_a_question_is_no_refusal(text: str) -> None:
    assert tools.SlurmError("sbatch", 1, text).passing


def test_a_controller_that_is_away_for_a_moment_is_asked_again(
    config: NodeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[Sequence[str]] = []
    popen = subprocess.Popen

    def start(command: Sequence[str], **settings: Any) -> subprocess.Popen[str]:
        started.append([*command, settings["env"]["FLEETFORM_JOB_ADDRESS"]])
        return popen([sys.executable, "-c", ""], **settings)

    monkeypatch.setattr(tools, "nodes", answering(AWAY, AWAY, HERE))
    monkeypatch.setattr(subprocess, "Popen", start)
    Batch(config, TERMS)._start(1, "").wait()
    (command,) = started
    assert command[-1] == "10.0.0.7"
    assert command[command.index("--container-image") + 1] == TERMS.image


@pytest.mark.parametrize("error", [AWAY, EndpointConnectionError(endpoint_url="https://s3.invalid")])
def test_an_execution_that_slurm_or_the_bucket_does_not_let_begin_is_started_again(
    config: NodeConfig, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch, "read_node_config", lambda: config)
    monkeypatch.setattr(os, "dup2", lambda *files: None)
    monkeypatch.setattr(Batch, "run", answering(error))
    assert batch.main(TERMS.arguments()) == EXIT_REQUEUE
    monkeypatch.setattr(Batch, "run", answering(KeyError("ours")))
    with pytest.raises(KeyError):
        batch.main(TERMS.arguments())


def test_the_other_runners_are_told_to_stop_until_slurm_takes_it(
    config: NodeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Sequence[str]] = []
    answer = answering(AWAY, AWAY, "")

    def run(program: str, arguments: Sequence[str], **settings: Any) -> str:
        asked.append([program, *arguments])
        return str(answer())

    monkeypatch.setattr(tools, "run", run)
    Batch(config, TERMS)._stop_runners()
    assert asked == [["scancel", "--signal=TERM", "7"]] * 3


def test_a_job_that_is_taken_away_looks_at_its_machines_now_and_then_only(
    config: NodeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[bool] = []

    def look() -> bool:
        looks.append(True)
        return len(looks) == 2

    monkeypatch.setattr(batch, "has_lost_a_node", look)
    monkeypatch.setattr(batch, "_TICK", 0.01)
    monkeypatch.setattr(batch, "_LOOK_SECONDS", 0.3)
    step = Batch(config, TERMS)
    step._on_signal(15, None)
    runner = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], text=True)
    try:
        assert step._accompany(runner) == 1
        assert len(looks) == 2
    finally:
        runner.kill()
        runner.wait()


DRAINED = tools.NodeState("gpu-2", "ALLOCATED", frozenset({"CLOUD", "DRAIN"}), "spot: soon", "10.0.0.8")


@pytest.mark.parametrize(
    ("answers", "taken"),
    [([AWAY, HERE, [*HERE, DRAINED]], True), ([AWAY, HERE, HERE, HERE], False), ([AWAY] * 4, True)],
    ids=["it is drained a little later", "none goes", "nobody tells"],
)
def test_a_stop_is_nobodys_wish_only_where_slurm_says_that_no_machine_goes(
    config: NodeConfig, monkeypatch: pytest.MonkeyPatch, answers: list[Any], taken: bool
) -> None:
    moments = iter((0.0, 1.0, 2.0, 3.0, 6.0))
    monkeypatch.setattr(
        surroundings, "time", SimpleNamespace(monotonic=moments.__next__, sleep=lambda _: None)
    )
    monkeypatch.setattr(tools, "nodes", answering(*answers))
    assert surroundings.is_taken_back() is taken
