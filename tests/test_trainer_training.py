"""Training in this process: what it leaves on disk, what the model predicts, and runs that go wrong."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.trainer_runs import ALONE, TINY, TINY_GPT, losses, run, tiny
from tests.trainer_runs import own_surroundings as own_surroundings
from trainer import __main__ as command
from trainer import predict
from trainer.config import ConfigError, load_config
from trainer.configs.models import GPTConfig
from trainer.data.dataset import Dataset
from trainer.engine.failures import DivergedError
from trainer.export.model_folder import load_model
from trainer.optimizer import set_learning_rate
from trainer.tasks.text import TextTask

pytestmark = [pytest.mark.torch, pytest.mark.usefixtures("own_surroundings")]


@pytest.mark.parametrize(("recipe", "overrides"), [("digits", TINY), ("gpt", TINY_GPT)])
def test_bf16_trains_to_nearly_the_same_losses(recipe: str, overrides: list[str], tmp_path: Path) -> None:
    run(load_config(recipe, [*overrides, "precision=fp32"]), tmp_path / "fp32")
    run(load_config(recipe, [*overrides, "precision=bf16"]), tmp_path / "bf16")
    exact, rounded = losses(tmp_path / "fp32"), losses(tmp_path / "bf16")
    assert exact != rounded
    assert list(rounded.values()) == pytest.approx(list(exact.values()), rel=0.03)


def test_another_seed_gives_other_losses(tmp_path: Path) -> None:
    run(tiny(), tmp_path / "a", stop_after=2)
    run(tiny("seed=2"), tmp_path / "b", stop_after=2)
    assert losses(tmp_path / "a") != losses(tmp_path / "b")


def test_the_command_leaves_a_whole_run_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FLEETFORM_RUN_DIR", str(tmp_path / "run"))
    assert command.main(["digits", *TINY, "log_every=4"]) == 0
    left = {path.name for path in (tmp_path / "run").iterdir()}
    assert {"checkpoints", "evaluation.json", "goodput.json", "goodput.jsonl", "metrics.jsonl", "model",
            "summary.json", "tensorboard"} <= left  # fmt: skip
    assert list(losses(tmp_path / "run")) == [1, 4, 8, 10]
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert (summary["samples"], summary["world_size"], summary["device"]) == (320, 1, "cpu")
    assert summary["metrics"]["held_out_samples"] == 359
    assert 0 < summary["train_seconds"] < summary["wall_seconds"]
    first = json.loads((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[0])
    assert {"step", "time", "loss", "lr", "samples", "samples_per_s"} <= set(first)
    assert summary["first_step_time"] <= first["time"]


def test_a_loss_that_is_no_number_ends_the_run_in_one_line_and_saves_no_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FLEETFORM_RUN_DIR", str(tmp_path))
    wild = [
        "digits",
        *TINY,
        "optimizer.learning_rate=1e25",
        "optimizer.weight_decay=10",
        "checkpoint_every=1",
    ]
    assert command.main(wild) == 1
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 1 and "the loss is nan" in told[0]
    with pytest.raises(DivergedError):  # its checkpoints are those before, so it fails again the same way
        run(load_config("digits", wild[1:]), tmp_path)


def test_the_saved_model_predicts_what_its_summary_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    summary = run(
        load_config("digits", [*TINY, "samples=6400", "model.channels=16", "optimizer.learning_rate=1e-2"]),
        tmp_path,
    )
    assert summary["metrics"]["accuracy"] > 0.5  # ten classes: a guess is right one time in ten
    capsys.readouterr()
    assert predict.main([str(tmp_path / "model"), "--count", "359", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["correct"] / result["count"] == pytest.approx(summary["metrics"]["accuracy"])
    assert predict.main([str(tmp_path / "model"), "--count", "2"]) == 0
    shown = capsys.readouterr().out
    assert shown.count("predicted ") == 2 and "of 2 held-out items right" in shown
    description = load_model(tmp_path / "model")[1]
    assert description["metrics"] == summary["metrics"]
    assert "Predictor.load" in (tmp_path / "model" / "README.md").read_text()


def test_a_text_model_goes_on_writing_the_same_for_the_same_seed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    summary = run(load_config("gpt", [*TINY_GPT, "samples=800", "optimizer.learning_rate=1e-2"]), tmp_path)
    # 98 characters: knowing nothing costs ln 98 = 4.58 nats each.
    assert summary["metrics"]["val_loss"] < 3.6
    capsys.readouterr()
    texts = []
    for seed in ("1", "1", "2"):
        assert (
            predict.main([str(tmp_path / "model"), "--prompt", "def é", "--length", "40", "--seed", seed])
            == 0
        )
        texts.append(capsys.readouterr().out)
    assert texts[0] == texts[1] != texts[2]
    assert texts[0].startswith("def é") and len(texts[0]) == len("def é") + 40 + 1


def test_a_folder_that_holds_no_model_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        predict.main([str(tmp_path), "--count", "0"])
    assert "--count: invalid positive value: '0'" in capsys.readouterr().err
    assert predict.main([str(tmp_path)]) == 2
    assert "holds no model" in capsys.readouterr().err


def test_the_learning_rate_climbs_then_falls_to_its_final_share() -> None:
    config = replace(
        load_config("digits").optimizer, learning_rate=1.0, warmup_fraction=0.1, final_fraction=0.2
    )
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=9.0)
    rates = [set_learning_rate(optimizer, config, step, num_steps=100) for step in range(1, 101)]
    assert rates[:10] == pytest.approx([step / 10 for step in range(1, 11)])
    assert rates[9:] == sorted(rates[9:], reverse=True)
    assert rates[-1] == optimizer.param_groups[0]["lr"] == pytest.approx(0.2)


def test_a_run_directory_that_cannot_be_made_ends_the_run_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("FLEETFORM_RUN_DIR", str(tmp_path / "file"))
    assert command.main(["digits", *TINY]) == 1
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 1 and "cannot be used" in told[0]


def test_the_largest_seed_trains(tmp_path: Path) -> None:
    assert run(tiny(f"seed={2**63 - 1}", "samples=64"), tmp_path)["steps"] == 2


def text(train: int, held_out: int) -> Dataset:
    """Return a data set of so many characters."""
    shards = {
        part: ({"tokens": np.zeros(size, np.uint8)},)
        for part, size in (("train", train), ("held_out", held_out))
    }
    return Dataset("text", "tokens", "", {"characters": "ab"}, {}, shards)


@pytest.mark.parametrize(("train", "held_out", "longest"), [(101, 1000, 50), (102, 1000, 50), (1000, 60, 59)])
def test_the_longest_context_of_a_text_trains_and_is_evaluated_and_a_longer_one_is_refused(
    train: int, held_out: int, longest: int
) -> None:
    config = GPTConfig(context=longest, num_layers=1, num_heads=1, width=2)
    task = TextTask(config, text(train, held_out))
    model = task.build_model()
    noise = np.ones((1, task.source.noise_width), np.float32)
    last = task.source.batch(np.array([task.source.num_items - 1]), noise)
    with torch.no_grad():
        assert float(task.loss(model, last)[0]) > 0
        assert task.evaluate(model, ALONE)["val_loss"] > 0
    with pytest.raises(ConfigError, match=f"model.context: {longest + 1} .* at most {longest}"):
        TextTask(replace(config, context=longest + 1), text(train, held_out))


def test_a_context_longer_than_the_text_ends_the_command_with_exit_2_and_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FLEETFORM_RUN_DIR", str(tmp_path))
    assert command.main(["gpt", *TINY_GPT, "model.context=100000000"]) == 2
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 1 and told[0].startswith("error: model.context: 100000000 is too long")


def test_a_gpu_that_is_asked_for_and_missing_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert command.main(["digits", "device=cuda"]) == 2
    assert "0 GPUs for 1 processes" in capsys.readouterr().err
