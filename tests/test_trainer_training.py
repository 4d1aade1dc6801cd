"""Training in this process: what is left on disk, exact resume, damaged checkpoints, runs that go wrong."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from node.store import Bucket
from node.sync import FolderSync
from trainer import __main__ as command
from trainer import predict
from trainer.config import Config, load_config
from trainer.distributed import World
from trainer.export import load_model
from trainer.loop import DivergedError, StopRequest, train
from trainer.metrics import MetricsLog
from trainer.state import set_learning_rate

pytestmark = pytest.mark.torch

ALONE = World(rank=0, local_rank=0, world_size=1, device=torch.device("cpu"))
TINY = [
    "samples=320",
    "global_batch=32",
    "model.channels=8",
    "log_every=1",
    "checkpoint_every=4",
    "device=cpu",
]
TINY_GPT = [
    "samples=48", "global_batch=8", "model.context=32", "model.num_layers=1", "model.width=32", "log_every=1",
    "checkpoint_every=2", "device=cpu", "model.dropout=0.1",
]  # fmt: skip


@pytest.fixture(autouse=True)
def own_surroundings(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[None]:
    """One thread, a cache of the session's own, and pytest's own handler of SIGTERM afterwards."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "FLEETFORM_DATA_DIR"):
        monkeypatch.delenv(name, raising=False)
    handler, threads = signal.getsignal(signal.SIGTERM), torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
    signal.signal(signal.SIGTERM, handler)


class StopAfter(StopRequest):
    """A SIGTERM that arrives during the given step."""

    def __init__(self, step: int) -> None:
        self.left = step

    @property
    def asked(self) -> bool:  # type: ignore[override]
        self.left -= 1
        return self.left <= 0


def tiny(*overrides: str) -> Config:
    return load_config("digits", [*TINY, *overrides])


def losses(run_dir: Path) -> dict[int, float]:
    lines = [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == sorted({line["step"] for line in lines})
    return {line["step"]: line["loss"] for line in lines}


def run(config: Config, run_dir: Path, stop_after: int = 10**9) -> dict[str, Any]:
    run_dir.mkdir(exist_ok=True)
    return train(config, ALONE, run_dir, StopAfter(stop_after)).summary


@pytest.mark.parametrize(("recipe", "overrides"), [("digits", TINY), ("gpt", TINY_GPT)])
def test_a_stopped_and_resumed_run_is_the_uninterrupted_one_bit_for_bit(
    recipe: str, overrides: list[str], tmp_path: Path
) -> None:
    config = load_config(recipe, overrides)
    run(config, tmp_path / "whole")
    stopped = run(config, tmp_path / "parts", stop_after=3)
    assert stopped["steps"] == 3 and "metrics" not in stopped
    resumed = run(config, tmp_path / "parts")
    assert resumed["resumed_from_step"] == 3
    assert losses(tmp_path / "parts") == losses(tmp_path / "whole")
    weights = [tmp_path / part / "model" / "model.safetensors" for part in ("whole", "parts")]
    assert weights[0].read_bytes() == weights[1].read_bytes()


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


@pytest.mark.parametrize("damage", ["flip", "cut", "manifest", "unfinished"])
def test_a_damaged_checkpoint_is_left_out_with_a_warning_and_the_one_before_is_used(
    damage: str, tmp_path: Path
) -> None:
    run(tiny(), tmp_path / "whole")
    run_dir = tmp_path / "damaged"
    run(tiny(), run_dir, stop_after=9)
    newest = run_dir / "checkpoints" / "step-9"
    tensors = newest / "__0_0.distcp"
    if damage == "flip":
        content = bytearray(tensors.read_bytes())
        content[len(content) // 2] ^= 1
        tensors.write_bytes(content)
    elif damage == "cut":
        tensors.write_bytes(tensors.read_bytes()[:-1])
    elif damage == "manifest":
        (newest / "manifest.json").write_text('{"step": 9}')
    else:
        (newest / "manifest.json").unlink()
    with pytest.warns(UserWarning, match="step-9 is left out"):
        resumed = run(tiny(), run_dir)
    assert resumed["resumed_from_step"] == 8
    assert losses(run_dir) == losses(tmp_path / "whole")


def test_only_the_newest_checkpoints_are_kept_and_each_says_where_to_go_on(tmp_path: Path) -> None:
    config = tiny("keep_checkpoints=2")
    run(config, tmp_path)
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == ["step-10", "step-8"]
    manifest = json.loads((tmp_path / "checkpoints" / "step-8" / "manifest.json").read_text())
    assert (manifest["step"], manifest["data_cursor"]) == (8, 256)
    assert manifest["config_digest"] == config.digest()
    assert set(manifest["files"]) == {".metadata", "__0_0.distcp"}


class Listed(Bucket):
    """A bucket that only remembers what it is sent."""

    def __init__(self) -> None:
        super().__init__(None, "listed")
        self.keys: list[str] = []

    def upload(self, path: Path, key: str) -> tuple[int, str]:
        self.keys.append(key)
        return path.stat().st_size, ""


def test_a_node_sends_home_every_file_that_a_checkpoint_s_manifest_names(tmp_path: Path) -> None:
    run(tiny(), tmp_path)
    folder = tmp_path / "checkpoints" / "step-10"
    bucket = Listed()
    FolderSync(bucket, "r", tmp_path, 0).step()
    sent = {key.removeprefix("runs/r/checkpoints/step-10/") for key in bucket.keys}
    named = set(json.loads((folder / "manifest.json").read_text())["files"])
    assert named | {"manifest.json"} <= sent
    assert not [key for key in bucket.keys if key.endswith(".partial")]


def test_resuming_under_other_settings_is_refused_by_name_and_fresh_starts_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FLEETFORM_RUN_DIR", str(tmp_path))
    run(tiny(), tmp_path, stop_after=5)
    before = (tmp_path / "metrics.jsonl").read_text()
    other = ["digits", *TINY, "model.channels=16", "seed=2"]
    assert command.main(other) == 2
    told = capsys.readouterr().err.splitlines()
    assert [line.split(":")[1].strip() for line in told] == ["model.channels", "seed"]
    assert (tmp_path / "metrics.jsonl").read_text() == before
    assert command.main([*other, "fresh=true"]) == 0
    assert json.loads((tmp_path / "summary.json").read_text())["resumed_from_step"] == 0


def test_settings_that_do_not_change_the_result_may_differ_on_resume(tmp_path: Path) -> None:
    run(tiny(), tmp_path, stop_after=5)
    assert run(tiny("log_every=2", "keep_checkpoints=5"), tmp_path)["resumed_from_step"] == 5


def test_the_command_leaves_a_whole_run_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FLEETFORM_RUN_DIR", str(tmp_path / "run"))
    assert command.main(["digits", *TINY, "log_every=4"]) == 0
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == [
        "checkpoints", "metrics.jsonl", "model", "summary.json",
    ]  # fmt: skip
    assert list(losses(tmp_path / "run")) == [1, 4, 8, 10]
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert (summary["samples"], summary["world_size"], summary["device"]) == (320, 1, "cpu")
    assert summary["metrics"]["held_out_samples"] == 359
    assert 0 < summary["train_seconds"] < summary["wall_seconds"]
    first = json.loads((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[0])
    assert {"step", "time", "loss", "lr", "samples", "samples_per_s"} <= set(first)
    assert summary["first_step_time"] <= first["time"]


def test_a_finished_run_run_again_trains_nothing_more(tmp_path: Path) -> None:
    first = run(tiny(), tmp_path)
    again = run(tiny(), tmp_path)
    assert (again["resumed_from_step"], again["first_step_time"]) == (10, None)
    assert again["metrics"] == first["metrics"]


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
    assert shown.count("predicted ") == 2 and "of 2 held-out digits right" in shown
    description = load_model(tmp_path / "model")[1]
    assert description["metrics"] == summary["metrics"]
    assert "load_model" in (tmp_path / "model" / "README.md").read_text()


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
    assert predict.main([str(tmp_path)]) == 2
    assert "holds no model" in capsys.readouterr().err


def test_lines_of_lost_steps_and_a_line_cut_by_a_crash_are_taken_out_of_the_metrics(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1, "loss": 2}\n{"step": 5, "loss": 1}\n{"step": 6, "lo')
    with MetricsLog(path, steps_done=4) as log:
        log.log(5, loss=1.5)
        assert losses(tmp_path) == {1: 2, 5: 1.5}


def test_the_learning_rate_climbs_then_falls_to_its_final_share() -> None:
    config = replace(
        load_config("digits").optimizer, learning_rate=1.0, warmup_fraction=0.1, final_fraction=0.2
    )
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=9.0)
    rates = [set_learning_rate(optimizer, config, step, num_steps=100) for step in range(1, 101)]
    assert rates[:10] == pytest.approx([step / 10 for step in range(1, 11)])
    assert rates[9:] == sorted(rates[9:], reverse=True)
    assert rates[-1] == optimizer.param_groups[0]["lr"] == pytest.approx(0.2)


def test_a_gpu_that_is_asked_for_and_missing_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert command.main(["digits", "device=cuda"]) == 2
    assert "0 GPUs for 1 processes" in capsys.readouterr().err
