"""States that are not the same at the start as when they were saved: made moments, lazy tensors, buffers."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.checkpoint_ranks import Numbers, new_checkpointer, progress, run_ranks
from trainer.checkpoints.checkpointer import MEMORY_VARIABLE
from trainer.distributed import World
from trainer.state import Progress, State

pytestmark = pytest.mark.torch
ALONE = World(rank=0, local_rank=0, world_size=1, device=torch.device("cpu"))


class LazyAverage:
    """A running mean of weights, which has none before the first update."""

    def __init__(self) -> None:
        self.shadow: dict[str, Tensor] = {}

    def update(self, model: nn.Module) -> None:
        """Take in the weights."""
        for name, weight in model.named_parameters():
            before = self.shadow.get(name, weight.detach())
            self.shadow[name] = before * 0.9 + weight.detach() * 0.1

    def state_dict(self) -> dict[str, Any]:
        return {"shadow": dict(self.shadow), "updates": len(self.shadow)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.shadow = dict(state["shadow"])


def make(*, average: bool = True) -> tuple[State, LazyAverage]:
    """Return a state whose model has a head without a gradient, and the average that it tracks."""
    torch.manual_seed(1)
    model = nn.ModuleDict({"body": nn.Linear(4, 2), "unused": nn.Linear(4, 2)})
    state, mean = State(model, torch.optim.AdamW(model.parameters(), lr=0.1)), LazyAverage()
    if average:
        state.tracked["average"] = mean
    return state, mean


def train(state: State, mean: LazyAverage) -> None:
    """Do one step."""
    state.model.get_submodule("body")(torch.ones(3, 4)).sum().backward()
    state.optimizer.step()
    state.optimizer.zero_grad()
    mean.update(state.model)


def save(folder: Path, *, kill: bool) -> dict[str, Tensor]:
    """Train two steps and save, or only remember, the last; return the tensors."""
    saver, (state, mean) = new_checkpointer(ALONE, folder), make()
    state.make_moments()
    assert saver.resume(state) is None
    state.forget_moments()
    for step in (1, 2):
        train(state, mean)
        if step == 1:
            saver.prepare(state)
        about = Progress(step=step, extras=state.extras())
        if kill:
            assert saver.remember(about)
        else:
            saver.save(about)
    saver.wait()
    saver.close()
    return flat(state)


def flat(state: State) -> dict[str, Tensor]:
    """Return copies of the state's tensors by name."""
    groups = state.tensors().items()
    return {f"{group}.{name}": tensor.clone() for group, inner in groups for name, tensor in inner.items()}


@pytest.mark.parametrize("source", ["memory", "folder"])
def test_a_head_without_gradient_and_an_average_made_later_go_on(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if source == "memory":
        monkeypatch.setenv(MEMORY_VARIABLE, str(os.memfd_create("kept")))
    want = save(tmp_path, kill=source == "memory")
    assert "optimizer.unused.weight.exp_avg" not in want
    saver, (state, mean) = new_checkpointer(ALONE, tmp_path), make()
    state.make_moments()
    found = saver.resume(state)
    saver.close()
    assert found is not None and (found.step, saver.source) == (2, source)
    state.load_extras(found.extras)
    got = flat(state)
    assert got.keys() == want.keys()
    assert all(torch.equal(got[name], want[name]) for name in want)
    assert mean.shadow.keys() == {"body.weight", "body.bias", "unused.weight", "unused.bias"}


def test_a_state_that_nothing_is_found_for_is_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = os.memfd_create("kept")
    monkeypatch.setenv(MEMORY_VARIABLE, str(memory))
    save(tmp_path, kill=True)
    monkeypatch.setattr("trainer.checkpoints.restore.newest_complete", lambda *_: (0, {}))
    saver, (state, mean) = new_checkpointer(ALONE, tmp_path), make()
    state.make_moments()
    before = flat(state)
    assert saver.resume(state) is None
    saver.close()
    assert flat(state).keys() == before.keys() and not mean.shadow


def test_an_object_that_is_tracked_no_longer_does_not_stand_in_the_way(tmp_path: Path) -> None:
    save(tmp_path, kill=False)
    saver, (state, _) = new_checkpointer(ALONE, tmp_path), make(average=False)
    state.make_moments()
    found = saver.resume(state)
    saver.close()
    assert found is not None and found.step == 2


def own_buffers(rank: int) -> Numbers:
    """Return a state whose buffer each rank has for itself, as a BatchNorm's running mean under DDP."""
    weights = {"weight": torch.ones(3), "mean": torch.full((1000,), float(rank))}
    return Numbers({"model": weights, "optimizer": {"weight.exp_avg": torch.ones(300)}})


def save_buffers(world: World, folder: Path) -> None:
    """Save such a state from two ranks."""
    saver, state = new_checkpointer(world, folder), own_buffers(world.rank)
    saver.prepare(state)  # type: ignore[arg-type]
    saver.save(progress(1))
    assert saver.wait()
    saver.close()


def test_of_buffers_that_differ_by_rank_rank_0_s_are_saved(tmp_path: Path) -> None:
    for error, _ in run_ranks(save_buffers, 2, tmp_path):
        assert error is None
    saver, state = new_checkpointer(ALONE, tmp_path), own_buffers(7)
    saver.resume(state)  # type: ignore[arg-type]
    saver.close()
    assert state.tensors()["model"]["mean"].eq(0).all()


def go_on(world: World, folder: Path, swapped: bool, steps: int) -> tuple[int, float]:
    """Go on with such a state on a machine of one's own; return the step and a value that was loaded."""
    place = folder.parent / f"machine-{1 - world.rank}" if swapped else folder
    saver, state = new_checkpointer(world, place), own_buffers(9)
    found = saver.resume(state)  # type: ignore[arg-type]
    value = state.tensors()["model"]["weight"][0].item()
    saver.prepare(state)  # type: ignore[arg-type]
    begun = found.step if found else 0
    for step in range(begun + 1, begun + steps + 1):
        state.tensors()["model"]["weight"].fill_(step)
        saver.save(progress(step))
        assert saver.wait()
    saver.close()
    return begun, value


def test_a_run_goes_on_from_the_machine_that_has_its_checkpoint(tmp_path: Path) -> None:
    run_ranks(go_on, 2, tmp_path, False, 3, machines=True)
    assert not (tmp_path / "machine-1" / "checkpoints").exists()
    answers = run_ranks(go_on, 2, tmp_path, True, 1, machines=True)  # rank 0 is where it never was
    assert [answer for answer, _ in answers] == [(3, 3.0)] * 2
    answers = run_ranks(go_on, 2, tmp_path, False, 0, machines=True)
    assert [answer for answer, _ in answers] == [(4, 4.0)] * 2


def test_a_save_for_which_no_time_is_left_is_told(tmp_path: Path) -> None:
    saver, (state, mean) = new_checkpointer(ALONE, tmp_path, bytes_per_second=2000), make()
    train(state, mean)
    saver.prepare(state)
    saver.save(Progress(step=1))
    with pytest.warns(UserWarning, match="step 2 is not saved: the one before is still being written"):
        saver.save(Progress(step=2), seconds=0.1)
    assert saver.costs.failures == 1
    assert not saver.wait(0.1)
    saver.close()
