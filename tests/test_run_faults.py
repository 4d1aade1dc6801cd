"""What a run does where something is odd: states of any kind, samplers, stops that cannot save."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset, RandomSampler, TensorDataset

from tests.engine_jobs import Net, fit, loader, weights
from tests.trainer_runs import StopAfter
from tests.trainer_runs import own_surroundings as own_surroundings
from trainer.configs.settings import ConfigError, RunSettings
from trainer.engine.failures import ExceptHook, NotSavedError, Preempted
from trainer.plain import NotPlainError, decode, encode
from trainer.run import Run

pytestmark = [pytest.mark.torch, pytest.mark.usefixtures("own_surroundings")]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Any]:
    """Make runs on the CPU in the test's folder, and end them with the test."""
    runs: list[Run] = []
    before = sys.excepthook

    def make(folder: str = "run", *, stop_after: int | None = None, **settings: Any) -> Run:
        run = Run(run_dir=tmp_path / folder, device="cpu", **settings)
        runs.append(run)
        if stop_after is not None:
            run.around.stop.close()
            run.around.stop = StopAfter(stop_after)
        return run

    yield make
    for run in runs:
        run.close()
    sys.excepthook = before


class Kept:
    """An object that keeps the given state."""

    def __init__(self, state: Any) -> None:
        self.state = state

    def state_dict(self) -> Any:
        return self.state

    def load_state_dict(self, state: Any) -> None:
        self.state = state


STATE: dict[Any, Any] = {
    "scalar": np.float32(0.1),
    "whole": np.int64(7),
    "bytes": b"\x00\xff",
    "tuple": (1, "a", None),
    "by number": {3: "x", 4: {5: 6}},
    "counts": Counter("abca"),
    "array": np.arange(6).reshape(2, 3),
    "list with a tensor": [torch.tensor([1.5, 2.5], dtype=torch.bfloat16)],
    "infinite": float("inf"),
}


def test_states_of_any_kind_come_back_as_they_were() -> None:
    back = decode(encode(STATE))
    assert list(back) == list(STATE)
    for name in ("scalar", "whole", "bytes", "tuple", "by number", "counts", "infinite"):
        assert back[name] == STATE[name] and type(back[name]) is type(STATE[name])
    assert back["array"].tolist() == STATE["array"].tolist() and back["array"].dtype == STATE["array"].dtype
    assert torch.equal(back["list with a tensor"][0], STATE["list with a tensor"][0])
    with pytest.raises(NotPlainError, match=r"deep\[1\] is a builtins.object"):
        encode({"deep": [1, object()]})


def test_what_is_tracked_is_kept_whatever_it_is_made_of(start: Any) -> None:
    run = start(steps=2)
    run.track(odd=Kept(dict(STATE)))
    fit(run, loader())
    again = start(steps=3)
    odd = Kept(dict.fromkeys(STATE))
    again.track(odd=odd)
    fit(again, loader())
    assert odd.state["counts"] == STATE["counts"] and odd.state["by number"] == STATE["by number"]


def test_a_tracked_state_that_cannot_be_kept_is_refused_by_name(start: Any) -> None:
    run = start(steps=2)
    run.track(odd=Kept({"lock": object()}))
    with pytest.raises(ConfigError, match=r"run.track\(odd=...\): .* lock is a builtins.object"):
        fit(run, loader())


def test_a_learning_rate_that_is_a_tensor_goes_on(start: Any) -> None:
    def train(run: Run, rate: float) -> float:
        model = Net()
        optimizer = torch.optim.AdamW(model.parameters(), lr=torch.tensor(rate))
        run.setup(model, optimizer, loader())
        for x, y in run.steps():
            run.backward(functional.mse_loss(model(x), y))
            run.step(optimizer)
            optimizer.param_groups[0]["lr"].mul_(0.5)
        return float(optimizer.param_groups[0]["lr"])

    assert train(start(steps=2), 0.5) == 0.125
    assert train(start(steps=3), 0.5) == pytest.approx(0.125, rel=0.6)


def test_a_sampler_that_draws_a_part_of_the_data_draws_from_all_of_it(start: Any) -> None:
    run = start(steps=24)
    items = TensorDataset(torch.arange(1000.0)[:, None])
    data = DataLoader(items, batch_size=10, sampler=RandomSampler(items, num_samples=40))
    model = nn.Linear(1, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    run.setup(model, optimizer, data)
    seen: set[int] = set()
    for (x,) in run.steps():
        seen |= {int(value) for value in x}
        run.backward(model(x / 1000).square().mean())
        run.step(optimizer)
    assert len(seen) > 150 and max(seen) > 900


class Random(Dataset[Any]):
    """Items that are drawn anew whenever one is fetched."""

    def __len__(self) -> int:
        return 60

    def __getitem__(self, item: int) -> torch.Tensor:
        return torch.rand(1)


def test_a_loader_s_processes_do_not_repeat_their_random_numbers_after_a_resume(start: Any) -> None:
    def drawn(run: Run) -> list[float]:
        model = nn.Linear(1, 1)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
        run.setup(model, optimizer, DataLoader(Random(), batch_size=1, shuffle=True, num_workers=1))
        seen = []
        for x in run.steps():
            seen.append(float(x))
            run.backward(model(x).mean())
            run.step(optimizer)
        return seen

    first = drawn(start(steps=4))
    with pytest.warns(UserWarning, match="drawn by the loader's own processes"):
        second = drawn(start(steps=8))
    assert not set(first) & set(second)


def block_the_disk(run: Run, steps: int) -> Path:
    """Let no checkpoint be written: files stand where its folders would be."""
    folder: Path = run.run_dir / "checkpoints"
    folder.mkdir(parents=True, exist_ok=True)
    for step in range(steps):
        (folder / f".step-{step}.partial").write_text("")
    return folder


@pytest.mark.filterwarnings("ignore:the checkpoint of step")
def test_a_stop_that_could_not_save_says_so(start: Any, capsys: pytest.CaptureFixture[str]) -> None:
    run = start(steps=30, stop_after=5, checkpoint_every=0)
    block_the_disk(run, 30)
    with pytest.raises(Preempted):
        fit(run, loader())
    assert "step 5 is NOT saved; run again to go on from the beginning" in capsys.readouterr().out


@pytest.mark.filterwarnings("ignore:the checkpoint of step")
def test_a_run_whose_last_state_could_not_be_saved_is_not_called_done(start: Any) -> None:
    run = start(steps=4, checkpoint_every=0)
    block_the_disk(run, 30)
    with pytest.raises(NotSavedError, match="step 4: the last state could not be saved"):
        fit(run, loader())
    assert not (run.run_dir / "summary.json").exists()


def test_a_run_begun_afresh_goes_on_when_its_command_is_run_again(start: Any) -> None:
    fit(start(steps=6), loader())
    with pytest.raises(Preempted):
        fit(start(steps=12, fresh=True, stop_after=3), loader())
    again = start(steps=12, fresh=True)
    fit(again, loader())
    assert again.resumed_from == 3
    anew = start(steps=12, fresh=True)
    fit(anew, loader())
    assert anew.resumed_from == 0


@pytest.mark.parametrize(
    "variable", ["TORCHELASTIC_RESTART_COUNT", "FLEETFORM_LAUNCH", "SLURM_RESTART_COUNT"]
)
def test_a_restart_of_a_run_begun_afresh_keeps_what_it_has(
    variable: str, start: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    fit(start(steps=2), loader())
    monkeypatch.setenv(variable, "1")
    again = start(steps=3, fresh=True)
    fit(again, loader())
    assert again.resumed_from == 2


def test_mistakes_in_the_settings_end_a_script_with_2_and_a_line_each(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "excepthook", sys.__excepthook__)
    with pytest.raises(ConfigError) as refused:
        Run(run_dir=tmp_path, presision="bf16")
    assert isinstance(sys.excepthook, ExceptHook)
    with pytest.raises(SystemExit, match="2"):
        sys.excepthook(ConfigError, refused.value, None)
    assert capsys.readouterr().err == "error: presision: there is no such key; did you mean precision?\n"
    with pytest.raises(ConfigError, match="put seed into it"):
        Run(run_dir=tmp_path, settings=RunSettings(), seed=77)
    with pytest.raises(ConfigError, match="log_every: 0 is not positive"):
        Run(run_dir=tmp_path, settings=RunSettings(log_every=0))


def test_a_micro_batch_without_a_term_weighs_nothing(start: Any) -> None:
    def train(run: Run, empty: bool) -> torch.Tensor:
        torch.manual_seed(1)
        model = nn.Linear(2, 3)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        run.setup(model, optimizer, [torch.ones(4, 2)] * (4 if empty else 2))
        for number, x in enumerate(run.steps()):
            target = torch.full((4,), -100 if empty and number % 2 else 1)
            terms = int((target >= 0).sum())
            run.backward(functional.cross_entropy(model(x), target, ignore_index=-100), terms)
            run.step(optimizer)
        return weights(model)

    assert torch.equal(train(start("a", accumulate=2), True), train(start("b"), False))


def test_parameters_that_join_later_are_trained(start: Any) -> None:
    run = start(steps=4, gradient_clip=0.0)
    model = nn.Sequential(nn.Linear(6, 4), nn.Linear(4, 1))
    optimizer = torch.optim.RMSprop(model[0].parameters(), lr=1e-2)
    run.setup(model, optimizer, loader())
    first = model[1].weight.detach().clone()
    for x, y in run.steps():
        run.backward(functional.mse_loss(model(x), y))
        run.step(optimizer)
        if run.step_number == 2:
            assert torch.equal(model[1].weight, first)
            optimizer.add_param_group({"params": list(model[1].parameters())})
    assert not torch.equal(model[1].weight, first)
    assert model[1].weight.grad is None
    assert all(parameter.grad is None for parameter in model[0].parameters())


def test_a_phase_that_there_is_not_is_refused(start: Any) -> None:
    with pytest.raises(ConfigError, match="no phase 'validating'"):
        start().phase("validating")
