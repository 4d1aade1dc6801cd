"""Runs of two processes and of one: the same losses, sharded or whole, and what is seen by all of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.engine_jobs import losses

pytestmark = pytest.mark.torch

ROOT = Path(__file__).parent.parent


def launched(num_processes: int, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a module of the tests on so many processes under our launcher."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FLEETFORM_")}
    environment |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"}
    launcher = [sys.executable, "-m", "trainer.launch", f"--nproc-per-node={num_processes}", "-m"]
    return subprocess.run(
        [*launcher, *words], env=environment, capture_output=True, text=True, timeout=240, cwd=ROOT
    )


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[int, dict[str, Any]]:
    """What the runs of tests/engine_ranks.py told, by number of processes."""
    results: dict[int, dict[str, Any]] = {}
    for count in (1, 2):
        folder = tmp_path_factory.mktemp(f"ranks-{count}")
        done = launched(count, "tests.engine_ranks", str(folder))
        lines = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
        assert len(lines) == 1, done.stdout + done.stderr
        results[count] = json.loads(lines[0].removeprefix("RESULT "))
        results[count]["seen"] = [json.loads((folder / f"seen-{rank}").read_text()) for rank in range(count)]
        results[count]["told"] = [(folder / f"told-{rank}").read_text() for rank in range(count)]
    return results


def series(run: dict[str, float]) -> list[float]:
    return [run[step] for step in sorted(run, key=int)]


@pytest.mark.parametrize("optimizer", ["", " of another optimizer", " of plain SGD"])
def test_two_processes_and_sharded_ones_train_as_one_does(
    optimizer: str, found: dict[int, dict[str, Any]]
) -> None:
    alone = series(found[1][f"ddp{optimizer}"])
    assert len(alone) == 8 and alone[-1] < alone[0]
    assert series(found[2][f"ddp{optimizer}"]) == pytest.approx(alone, rel=1e-4)
    assert series(found[2][f"fsdp{optimizer}"]) == pytest.approx(alone, rel=1e-4)


def test_recomputing_and_an_exchange_of_its_own_change_nothing(found: dict[int, dict[str, Any]]) -> None:
    alone = series(found[1]["ddp"])
    assert series(found[2]["fsdp recomputing"]) == pytest.approx(alone, rel=1e-4)
    assert series(found[2]["ddp with parameters that may be unused"]) == pytest.approx(alone, rel=1e-4)


def test_bf16_gives_nearly_the_same_losses_and_not_the_same(found: dict[int, dict[str, Any]]) -> None:
    exact, rounded = series(found[2]["ddp"]), series(found[2]["ddp in bf16"])
    assert exact != rounded
    assert rounded == pytest.approx(exact, rel=0.15)


def test_a_checkpoint_goes_on_sharded_where_it_was_whole_and_the_other_way_round(
    found: dict[int, dict[str, Any]],
) -> None:
    one, other = series(found[2]["from fsdp"]), series(found[2]["from ddp"])
    assert len(one) == len(other) == 12
    assert one == pytest.approx(other, rel=1e-4)
    assert one == pytest.approx(series(found[1]["from ddp"]), rel=1e-4)


def test_data_and_tracked_states_that_differ_by_process_go_on_each_at_its_own_place(
    found: dict[int, dict[str, Any]],
) -> None:
    assert found[2]["seen"] == [[1, 2, 3, 4, 5, 6, 6], [1001, 1002, 1003, 1004, 1005, 1006, 1006]]


def test_a_loss_that_is_no_number_on_one_process_is_seen_by_all(found: dict[int, dict[str, Any]]) -> None:
    assert len(found[2]["told"]) == 2
    assert all(told.startswith("step 3: the loss is nan") for told in found[2]["told"])


def test_a_micro_batch_that_does_not_fit_is_halved_until_it_does(tmp_path: Path) -> None:
    done = launched(2, "tests.memory_rank", str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    # 32 samples are 16 a process; 8 do not fit either, 4 do.
    assert json.loads((tmp_path / "micro_batch.json").read_text()) == {"micro_batch": 4, "recompute": False}
    assert "out of memory with a micro-batch of 16" in done.stderr
    assert "out of memory with a micro-batch of 8" in done.stderr
    assert list(losses(tmp_path)) == list(range(1, 11))
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert (summary["samples"], summary["restarts"], summary["world_size"]) == (320, 2, 2)
