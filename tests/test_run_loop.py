"""Loops of one's own over `Run`, in this process: what they compute, how they go on, how they end."""

from __future__ import annotations

import gc
import itertools
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tests.engine_jobs import Net, Steps, fit, loader, losses, weights
from tests.trainer_runs import StopAfter
from tests.trainer_runs import own_surroundings as own_surroundings
from trainer.configs.settings import ConfigError
from trainer.engine.failures import DivergedError, Preempted
from trainer.run import Run

pytestmark = [pytest.mark.torch, pytest.mark.usefixtures("own_surroundings")]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Any]:
    """Make runs on the CPU that log every step, and end them with the test."""
    runs: list[Run] = []

    def make(folder: str = "run", **settings: Any) -> Run:
        run = Run(run_dir=tmp_path / folder, device="cpu", **({"log_every": 1} | settings))
        runs.append(run)
        return run

    yield make
    for run in runs:
        run.close()


def by_hand(optimizer: str, clip: float, num_steps: int = 12) -> nn.Module:
    """Train the same net as `fit` by a loop without the engine."""
    torch.manual_seed(3)
    model = Net()
    chosen = getattr(torch.optim, optimizer)(model.parameters(), lr=1e-2)
    for step in range(1, num_steps + 1):
        x = torch.randn(16, 6, generator=torch.Generator().manual_seed(step))
        nn.functional.mse_loss(model(x), x.sum(1, keepdim=True)).backward()
        if clip:
            nn.utils.clip_grad_norm_(model.parameters(), clip)
        chosen.step()
        chosen.zero_grad()
    return model


@pytest.mark.parametrize(
    ("optimizer", "clip"), [("AdamW", 0.5), ("AdamW", 0.0), ("SGD", 0.5), ("RMSprop", 0.5)]
)
def test_unequal_micro_batches_train_as_one_batch_of_a_loop_written_by_hand(
    optimizer: str, clip: float, start: Any
) -> None:
    run = start(gradient_clip=clip)
    ours = fit(run, Steps(run), optimizer=optimizer)
    assert torch.allclose(weights(ours), weights(by_hand(optimizer, clip)), atol=2e-5)


def test_a_loader_s_loop_goes_on_in_the_middle_of_an_epoch_bit_for_bit(start: Any) -> None:
    whole = fit(start("whole", steps=30), loader(), dropout=0.2)
    fit(start("parts", steps=7), loader(), dropout=0.2)
    resumed = start("parts", steps=30)
    parts = fit(resumed, loader(), dropout=0.2)
    assert resumed.resumed_from == 7
    assert losses(resumed.run_dir) == losses(resumed.run_dir.parent / "whole")
    assert torch.equal(weights(whole), weights(parts))


def test_an_iterable_that_cannot_seek_is_read_again_with_a_warning(start: Any) -> None:
    def data() -> list[Any]:
        return list(itertools.islice(loader(shuffle=False), 5))

    whole = fit(start("whole", steps=9), data())
    fit(start("parts", steps=7), data())
    with pytest.warns(UserWarning, match="read 2 batches again"):
        parts = fit(start("parts", steps=9), data())
    assert torch.equal(weights(whole), weights(parts))


def test_several_batches_of_a_loader_make_a_step_and_one_pass_ends_with_the_data(start: Any) -> None:
    run = start(accumulate=5)
    fit(run, loader())
    # 96 items in batches of 8 are 12 batches: two steps of five, one of two.
    assert (run.step_number, run.summary["samples"], run.summary["terms"]) == (3, 96, 96)


def test_a_loss_that_is_no_number_leaves_the_weights_and_the_checkpoints_of_the_step_before(
    start: Any,
) -> None:
    good = start("good", checkpoint_every=1)
    before = fit(good, Steps(good, num_steps=5))
    run = start("bad", checkpoint_every=1)
    model = Net()
    with pytest.raises(DivergedError, match="step 6: the loss is nan"):
        torch.manual_seed(3)
        model = Net()
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
        run.setup(model, optimizer, Steps(run, spoiled=lambda step: step == 6))
        for x, y in run.steps():
            run.backward(nn.functional.mse_loss(model(x), y), terms=len(x))
            run.step(optimizer)
    assert torch.equal(weights(model), weights(before))
    kept = sorted(path.name for path in (run.run_dir / "checkpoints").iterdir() if path.name[0] != ".")
    # Those of the last steps may still be on their way: the writer steps behind what else the machine does.
    assert kept and set(kept) <= {"step-2", "step-3", "step-4", "step-5"}


def test_told_to_stop_it_saves_and_ends_the_script_with_75(
    start: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    run = start(steps=30)
    run.around.stop.close()
    run.around.stop = StopAfter(4)
    told: list[int] = []
    run.on("preempt")(told.append)
    with pytest.raises(Preempted) as ended:
        fit(run, loader())
    assert (ended.value.code, told) == (75, [4])
    assert (run.run_dir / "checkpoints" / "step-4" / "manifest.json").exists()
    assert "told to stop: saved after step 4" in capsys.readouterr().out
    assert not (run.run_dir / "summary.json").exists()


def test_what_is_tracked_goes_on_where_it_was(start: Any) -> None:
    def rates(run: Run) -> list[float]:
        model = Net()
        optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
        schedule = torch.optim.lr_scheduler.StepLR(optimizer, step_size=2, gamma=0.5)
        run.track(schedule=schedule)
        run.setup(model, optimizer, loader())
        seen = []
        for x, y in run.steps():
            seen.append(optimizer.param_groups[0]["lr"])
            run.backward(nn.functional.mse_loss(model(x), y))
            if run.step(optimizer):
                schedule.step()
        return seen

    whole = rates(start("whole", steps=8))
    assert rates(start("parts", steps=5)) + rates(start("parts", steps=8)) == whole
    assert (whole[0], whole[-1]) == (0.01, 0.00125)


def test_hooks_are_called_at_their_moments_and_evaluations_are_logged(start: Any) -> None:
    run = start(steps=6, eval_every=2, checkpoint_every=3, log_every=3)
    called: dict[str, list[int]] = {"step": [], "log": [], "save": []}
    for moment, steps in called.items():
        run.on(moment)(steps.append)
    run.on("eval")(lambda step: {"val_loss": step / 10})
    fit(run, loader())
    assert called["save"].pop() == 6  # an earlier one is told of only where it counts before the next
    assert called == {"step": [1, 2, 3, 4, 5, 6], "log": [1, 3, 6], "save": called["save"]}
    lines = [json.loads(line) for line in (run.run_dir / "metrics.jsonl").read_text().splitlines()]
    assert [line.get("val_loss") for line in lines] == [None, 0.2, 0.4]
    with pytest.raises(ConfigError, match="no moment 'evaluate'"):
        run.on("evaluate")


@pytest.mark.parametrize("mistake", ["two backwards", "no step", "step first"])
def test_a_loop_that_forgets_its_part_is_told_so(mistake: str, start: Any) -> None:
    run = start(steps=3)
    model = Net()
    optimizer = torch.optim.AdamW(model.parameters())
    run.setup(model, optimizer, loader())
    with pytest.raises(RuntimeError, match=r"run\.(backward|step)"):
        for x, y in run.steps():
            if mistake == "step first":
                run.step(optimizer)
            for _ in range(2 if mistake == "two backwards" else 1):
                run.backward(nn.functional.mse_loss(model(x), y))


def test_unknown_and_impossible_dials_are_named_all_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        Run(run_dir=tmp_path, presision="bf16", log_every=1.5)
    assert refused.value.problems == (
        "presision: there is no such key; did you mean precision?",
        "log_every: expected a whole number, got 1.5",
    )


def test_memory_that_does_not_suffice_halves_the_micro_batch_then_recomputes(start: Any) -> None:
    codes = []
    for _ in range(6):
        run = start()
        data = Steps(run)
        run.setup(Net(), torch.optim.AdamW([nn.Parameter(torch.zeros(1))]), data)
        line, code = run.out_of_memory()
        codes.append((run.fit.micro_batch, run.fit.recompute, code))
        run.close()
    assert codes == [
        (None, False, 76),
        (8, False, 76),
        (4, False, 76),
        (2, False, 76),
        (1, False, 76),
        (1, True, 2),
    ]
    assert "out of memory with a micro-batch of 1" in line
    chosen = start("chosen", micro_batch=4, activation_checkpointing="off")
    chosen.setup(Net(), torch.optim.AdamW([nn.Parameter(torch.zeros(1))]), Steps(chosen))
    assert chosen.out_of_memory()[1] == 2
    assert start(fresh=True).fit.micro_batch is None


def test_the_garbage_collector_rests_between_the_first_step_and_the_end(start: Any) -> None:
    run = start(steps=4)
    enabled = []
    run.on("step")(lambda step: enabled.append(gc.isenabled()))
    fit(run, loader())
    assert enabled == [False] * 4 and gc.isenabled()


def test_an_exception_of_the_user_s_goes_where_it_went_before(start: Any) -> None:
    before = sys.excepthook
    run = start()
    seen: list[BaseException] = []
    run._hook._before = lambda kind, error, trace: seen.append(error)
    sys.excepthook(ValueError, mine := ValueError("mine"), None)
    assert seen == [mine]
    with pytest.raises(SystemExit) as ended:
        sys.excepthook(DivergedError, DivergedError("step 3: the loss is nan"), None)
    assert ended.value.code == 1
    run._hook._before = before
    run.close()
    assert sys.excepthook is before


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:The .grad attribute")  # torch's compiler's
@pytest.mark.parametrize("mode", ["blocks", "whole"])
def test_a_compiled_model_trains_alike_and_what_was_compiled_is_kept(mode: str, start: Any) -> None:
    plain, compiled = start("plain", steps=4), start("compiled", steps=4, compile=mode)
    expected, found = fit(plain, loader()), fit(compiled, loader())
    assert torch.allclose(weights(expected), weights(found), atol=1e-5)
    assert list(found.state_dict()) == list(expected.state_dict())
    assert [path.stat().st_size > 0 for path in (compiled.run_dir / "compile-cache").iterdir()] == [True]


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:The .grad attribute")
def test_a_compiler_that_fails_costs_a_warning_and_the_run_goes_on(
    start: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("no such instruction")

    torch._dynamo.reset()
    monkeypatch.setattr("torch._inductor.compile_fx.compile_fx", broken)
    run = start(steps=2, compile="whole")
    with pytest.warns(UserWarning, match="compile: it failed, going on without"):
        fit(run, loader())
    assert run.step_number == 2


def test_what_follows_the_last_step_is_told_as_finishing_and_counts_as_no_step(start: Any) -> None:
    run = start()
    pulse = run.around.pulse
    told: list[str] = []

    @run.on("step")
    def look(step: int) -> None:
        told.append(pulse.phase("training"))
        with run.phase("evaluating"):
            told.append(pulse.phase("evaluating"))

    fit(run, Steps(run, num_steps=2))
    with run.phase("evaluating"):
        told.append(pulse.phase("evaluating"))
    told.append(pulse.phase("finishing"))
    assert told == ["training", "evaluating"] * 2 + ["evaluating", "finishing"]
