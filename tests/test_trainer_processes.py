"""Training in processes of their own, alone and under torchrun: the same job, killed, resumed, stopped."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

pytestmark = pytest.mark.torch

JOB = [
    "digits", "samples=4800", "global_batch=32", "model.channels=16", "log_every=1", "checkpoint_every=20",
    "optimizer.learning_rate=1e-2", "device=cpu", "program=false",
]  # fmt: skip
NUM_STEPS = 150


@dataclass(frozen=True)
class Launch:
    """How the same job is started: alone, or as several processes under torchrun."""

    num_processes: int
    cache: Path

    def start(self, run_dir: Path) -> subprocess.Popen[str]:
        """Start the job; its own process group, so that all of it can be ended."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("FLEETFORM_")}
        environment |= {
            "FLEETFORM_RUN_DIR": str(run_dir),
            "XDG_CACHE_HOME": str(self.cache),
            "OMP_NUM_THREADS": "1",
        }
        torchrun = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={self.num_processes}"]
        command = [sys.executable, *(torchrun if self.num_processes > 1 else []), "-m", "trainer", *JOB]
        return subprocess.Popen(
            command,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def finish(self, run_dir: Path) -> str:
        """Run the job to its end; return what it printed."""
        process = self.start(run_dir)
        output = process.communicate(timeout=120)[0]
        assert process.returncode == 0, output
        return output

    def start_and_reach(self, step: int, run_dir: Path) -> tuple[subprocess.Popen[str], list[int]]:
        """Start the job and return when it has logged the step, with the ids of its training processes."""
        process = self.start(run_dir)
        deadline = time.monotonic() + 120
        while not (losses_so_far := logged(run_dir)) or max(losses_so_far) < step:
            assert process.poll() is None and time.monotonic() < deadline, process.communicate()[0]
            time.sleep(0.01)
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        return process, [int(child) for child in children] if self.num_processes > 1 else [process.pid]


def logged(run_dir: Path) -> dict[int, float]:
    """Return the losses by step that metrics.jsonl holds, without a line that is still being written."""
    path = run_dir / "metrics.jsonl"
    lines = path.read_text().split("\n")[:-1] if path.exists() else []
    return {record["step"]: record["loss"] for record in map(json.loads, lines)}


def summary(run_dir: Path) -> dict[str, object]:
    content: dict[str, object] = json.loads((run_dir / "summary.json").read_text())
    return content


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """The run directories of the uninterrupted job, by number of processes."""
    folders = {count: tmp_path_factory.mktemp(f"whole-{count}") for count in (1, 2)}
    for count, folder in folders.items():
        Launch(count, tmp_path_factory.getbasetemp() / "cache").finish(folder)
    return folders


def test_two_processes_do_the_same_job_as_one(whole: dict[int, Path]) -> None:
    alone, together = logged(whole[1]), logged(whole[2])
    assert list(alone) == list(together) == list(range(1, NUM_STEPS + 1))
    # The same sums in another order: equal but for rounding, which training then lets grow.
    assert [together[step] for step in range(1, 11)] == pytest.approx(
        [alone[step] for step in range(1, 11)], rel=1e-4
    )
    assert summary(whole[1])["samples"] == summary(whole[2])["samples"] == 4800
    assert (summary(whole[1])["world_size"], summary(whole[2])["world_size"]) == (1, 2)
    accuracies = [
        json.loads((whole[count] / "summary.json").read_text())["metrics"]["accuracy"] for count in (1, 2)
    ]
    assert accuracies[0] == pytest.approx(accuracies[1], abs=0.05)
    assert min(accuracies) > 0.8


@pytest.mark.parametrize("num_processes", [1, 2])
def test_after_kill_9_the_same_command_goes_on_to_the_same_losses_bit_for_bit(
    num_processes: int, whole: dict[int, Path], tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    launch = Launch(num_processes, tmp_path_factory.getbasetemp() / "cache")
    process, workers = launch.start_and_reach(65, tmp_path)
    os.kill(workers[-1], signal.SIGKILL)
    process.communicate(timeout=60)
    assert process.returncode != 0
    assert not (tmp_path / "summary.json").exists()
    launch.finish(tmp_path)
    resumed_from = summary(tmp_path)["resumed_from_step"]
    assert resumed_from in range(20, NUM_STEPS, 20)  # the newest may still have been on their way to the disk
    assert logged(tmp_path) == logged(whole[num_processes])
    weights = [
        (folder / "model" / "model.safetensors").read_bytes() for folder in (tmp_path, whole[num_processes])
    ]
    assert weights[0] == weights[1]


def test_sigterm_to_one_process_makes_all_save_the_same_step_and_exit_75(
    whole: dict[int, Path], tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    launch = Launch(2, tmp_path_factory.getbasetemp() / "cache")
    process, workers = launch.start_and_reach(45, tmp_path)
    os.kill(workers[1], signal.SIGTERM)
    output = process.communicate(timeout=60)[0]
    # torchrun itself exits with 1 and tells its workers' own exit codes.
    assert "exitcode  : 75" in output and "exitcode  : 1 " not in output, output
    last = max(logged(tmp_path))
    assert f"told to stop: saved after step {last}" in output
    assert (tmp_path / "checkpoints" / f"step-{last}" / "manifest.json").exists()
    # A run saved by two processes goes on with one.
    Launch(1, launch.cache).finish(tmp_path)
    assert summary(tmp_path)["resumed_from_step"] == last
    assert list(logged(tmp_path)) == list(logged(whole[1]))
