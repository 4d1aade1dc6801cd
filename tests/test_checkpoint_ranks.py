"""Several ranks that save together, die at any moment, and go on in other numbers."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import torch
import torch._dynamo  # DTensor brings it: once here and not in every rank
from torch import distributed, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import Shard, distribute_tensor

from tests.checkpoint_ranks import (
    Numbers,
    digest_at,
    new_checkpointer,
    progress,
    run_ranks,
    small_state,
    start_ranks,
)
from trainer.distributed import World
from trainer.state import State

pytestmark = pytest.mark.torch


def sharded_state() -> Numbers:
    """Return a state of which each rank holds a part, unevenly, and one tensor whole; its values are zero."""
    shapes = {"weight": (7, 3), "long": (33,), "short": (1, 5), "empty": (0, 2)}
    whole = {name: torch.zeros(shape) for name, shape in shapes.items()}
    if distributed.is_initialized():
        mesh = init_device_mesh("cpu", (distributed.get_world_size(),))
        whole = {name: distribute_tensor(tensor, mesh, [Shard(0)]) for name, tensor in whole.items()}
    moments: dict[str, Any] = {f"{name}.exp_avg": torch.zeros_like(tensor) for name, tensor in whole.items()}
    return Numbers({"model": whole, "optimizer": moments | {"weight.step": torch.zeros(())}})


STATES = {"whole": small_state, "sharded": sharded_state}


def save_steps(world: World, folder: Path, kind: str, *steps: int) -> list[str]:
    """Save those steps, each committed before the next; return the files of this rank's last checkpoint."""
    state: Any = STATES[kind]()
    saver = new_checkpointer(world, folder)
    saver.resume(state)
    saver.prepare(state)
    for step in steps:
        state.set(step)
        saver.save(progress(step))
        assert saver.wait()
    saver.close()
    return sorted(path.name for path in (folder / "checkpoints" / f"step-{steps[-1]}").iterdir())


def resume(world: World, folder: Path, kind: str) -> tuple[int, str, str]:
    """Resume; return the step, the digest of the state and where it came from."""
    state: Any = STATES[kind]()
    saver = new_checkpointer(world, folder)
    found = saver.resume(state)
    saver.close()
    assert found is None or found == progress(found.step)
    return found.step if found else 0, state.digest(), saver.source


@pytest.mark.parametrize("kind", ["whole", "sharded"])
def test_a_state_is_saved_by_all_ranks_and_read_by_any_number(kind: str, tmp_path: Path) -> None:
    files = run_ranks(save_steps, 2, tmp_path, kind, 4)
    assert files[0][0] == [".metadata", "__0_0.distcp", "__1_0.distcp", "manifest.json"]
    want = (4, digest_at(4, STATES[kind]()), "folder")
    for num_ranks in (1, 3):
        for answer, warned in run_ranks(resume, num_ranks, tmp_path, kind):
            assert answer == want
            assert not warned
    run_ranks(save_steps, 1, tmp_path, kind, 5)
    answers = [answer for answer, _ in run_ranks(resume, 2, tmp_path, kind)]
    assert answers == [(5, digest_at(5, STATES[kind]()), "folder")] * 2


def train_until_killed(
    world: World, folder: Path, kind: str, last: int, rate: float | None, kill: int
) -> None:
    """Set the state to each next step, remember each, save every third; a rank kills itself after `kill`."""
    state: Any = STATES[kind]()
    saver = new_checkpointer(world, folder, bytes_per_second=rate)
    found = saver.resume(state)
    saver.prepare(state)
    for step in range((found.step if found else 0) + 1, last + 1):
        saver.before_update()
        state.set(step)
        if step % 3 == 0:
            saver.save(progress(step))
        else:
            saver.remember(progress(step))
        if world.sum([float(saver.written())])[0] == world.world_size:
            saver.commit()
        if step == kill and world.rank == world.world_size - 1:
            os.kill(os.getpid(), signal.SIGKILL)
    saver.wait()
    saver.close()


@pytest.mark.parametrize("kind", ["whole", "sharded"])
def test_a_killed_rank_loses_no_step_where_the_memory_outlives_it(kind: str, tmp_path: Path) -> None:
    memories = [os.memfd_create(f"rank-{rank}") for rank in range(2)]
    ranks = start_ranks(train_until_killed, 2, tmp_path, kind, 8, None, 8, memories=memories)
    for rank in ranks:
        rank.process.join(60)
    answers = [answer for answer, _ in run_ranks(resume, 2, tmp_path, kind, memories=memories)]
    step = answers[0][0]
    assert step in (7, 8)  # the other rank may not have come to its copy of step 8
    assert answers == [(step, digest_at(step, STATES[kind]()), "memory")] * 2
    for memory in memories:
        os.close(memory)


def test_a_killed_rank_goes_on_from_the_disk_without_the_memory(tmp_path: Path) -> None:
    ranks = start_ranks(train_until_killed, 2, tmp_path, "whole", 8, None, 8)
    for rank in ranks:
        rank.process.join(60)
    step, digest, source = run_ranks(resume, 1, tmp_path, "whole")[0][0]
    assert (step in (0, 3, 6)) and source in ("folder", "")
    assert not step or digest == digest_at(step)


def save_and_wait(world: World, folder: Path) -> None:
    """Save step 4 and have it committed; the file `saving` says when the first of it begins."""
    state: Any = small_state()
    saver = new_checkpointer(world, folder)
    saver.resume(state)
    saver.prepare(state)
    state.set(4)
    saver.save(progress(4))
    (folder / "saving").touch()
    saver.wait()
    time.sleep(60)


@pytest.mark.parametrize("milliseconds", [0, 3, 6, 10, 15, 25, 40])
def test_whenever_a_rank_is_killed_in_a_save_a_whole_checkpoint_is_found(
    milliseconds: int, tmp_path: Path
) -> None:
    run_ranks(save_steps, 1, tmp_path, "whole", 3)
    rank = start_ranks(save_and_wait, 1, tmp_path)[0]
    while not (tmp_path / "saving").exists():
        time.sleep(0.001)
    time.sleep(milliseconds / 1000)
    rank.process.kill()
    rank.process.join()
    step, digest, source = run_ranks(resume, 1, tmp_path, "whole")[0][0]
    assert step in (3, 4) and source == "folder"
    assert digest == digest_at(step)
    names = run_ranks(save_steps, 1, tmp_path, "whole", step + 1)[0][0]
    assert "manifest.json" in names
    assert not list((tmp_path / "checkpoints").glob(".*.partial"))


def save_in_a_hurry(world: World, folder: Path, last: int) -> list[str]:
    """Save every step, each as soon as the one before is committed, not yet finished by rank 0's writer."""
    state: Any = small_state()
    saver = new_checkpointer(world, folder, keep=9)
    saver.resume(state)
    saver.prepare(state)
    for step in range(1, last + 1):
        state.set(step)
        saver.save(progress(step))
        while world.sum([float(saver.written())])[0] < world.world_size:
            pass
        assert saver.commit()
    assert saver.wait() and not saver.costs.failures
    saver.close()
    return sorted(path.name for path in (folder / "checkpoints").iterdir())


def test_what_one_rank_writes_of_the_next_save_outlives_the_commit_of_the_one_before(tmp_path: Path) -> None:
    (tmp_path / "checkpoints" / ".step-99.partial").mkdir(parents=True)
    answers = run_ranks(save_in_a_hurry, 2, tmp_path, 9)
    assert answers == [([f"step-{step}" for step in range(1, 10)], [])] * 2


def train_sharded(world: World, folder: Path, shard: bool, steps: int) -> tuple[int, list[float]]:
    """Train a small model, sharded by FSDP2 or whole on each rank, and save at the end; return the losses."""
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 3))
    if shard:
        mesh = init_device_mesh("cpu", (world.world_size,))
        fully_shard(model, mesh=mesh)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.05)
    state = State(model, optimizer)
    state.make_moments()
    saver = new_checkpointer(world, folder)
    found = saver.resume(state)
    saver.prepare(state)
    begun, losses = found.step if found else 0, []
    for step in range(begun + 1, begun + steps + 1):
        inputs = torch.rand(6, 5, generator=torch.Generator().manual_seed(step))
        optimizer.zero_grad()
        loss = (model(inputs) - inputs[:, :3]).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    saver.save(progress(begun + steps))
    assert saver.wait()
    saver.close()
    return begun, losses


def test_a_model_sharded_by_fsdp2_goes_on_whole_and_sharded_again(tmp_path: Path) -> None:
    _, whole = run_ranks(train_sharded, 1, tmp_path / "reference", False, 9)[0][0]
    got: list[float] = []
    for num_ranks, shard in ((2, True), (1, False), (3, True)):
        answers = [answer for answer, _ in run_ranks(train_sharded, num_ranks, tmp_path, shard, 3)]
        assert answers[0][0] == len(got)
        got += answers[0][1]
    assert got == pytest.approx(whole, rel=1e-5)
