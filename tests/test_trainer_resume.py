"""Going on after a stop: to the same losses, from a whole checkpoint, under the same settings."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from node.store import Bucket
from node.sync import FolderSync
from tests.trainer_runs import TINY, TINY_GPT, losses, run, tiny
from tests.trainer_runs import own_surroundings as own_surroundings
from trainer import __main__ as command
from trainer.config import load_config
from trainer.numbers.metrics import MetricsLog

pytestmark = [pytest.mark.torch, pytest.mark.usefixtures("own_surroundings")]


def whole(checkpoints: Path) -> list[str]:
    """Return the names of the checkpoints' folders, without the last damaged one, which is set aside."""
    return sorted(path.name for path in checkpoints.iterdir() if not path.name.startswith("damaged-"))


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
    assert config.result_settings().items() <= manifest["settings"].items()
    assert set(manifest["files"]) == {".metadata", "__0_0.distcp"}


def test_a_checkpoint_just_saved_outlives_an_unfinished_one_of_a_later_step(tmp_path: Path) -> None:
    config, checkpoints = tiny("keep_checkpoints=1"), tmp_path / "checkpoints"
    run(config, tmp_path, stop_after=4)
    (checkpoints / "step-8").mkdir()  # killed while writing step 8
    (checkpoints / "step-8" / "__0_0.distcp").write_bytes(b"half")
    with pytest.warns(UserWarning, match="step-8 is left out"):
        run(config, tmp_path, stop_after=2)  # told to stop in step 6
    assert whole(checkpoints) == ["step-6"]
    assert run(config, tmp_path)["resumed_from_step"] == 6


def test_damaged_checkpoints_do_not_count_among_the_newest_that_are_kept(tmp_path: Path) -> None:
    config, checkpoints = tiny("keep_checkpoints=2"), tmp_path / "checkpoints"
    run(config, tmp_path, stop_after=6)
    assert whole(checkpoints) == ["step-4", "step-6"]
    (checkpoints / "step-5").mkdir()
    (checkpoints / "step-5" / "manifest.json").write_text("{}")
    run(config, tmp_path, stop_after=1)
    assert whole(checkpoints) == ["step-6", "step-7"]
    (checkpoints / "step-7" / "__0_0.distcp").write_bytes(b"damaged")
    with pytest.warns(UserWarning, match="step-7 is left out"):
        run(config, tmp_path, stop_after=2)
    assert whole(checkpoints) == ["step-6", "step-8"]


class Listed(Bucket):
    """A bucket that only remembers what it is sent."""

    def __init__(self) -> None:
        super().__init__(None, "listed")
        self.keys: list[str] = []

    def noted_digest(self, key: str) -> None:
        return None

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


def test_a_finished_run_run_again_trains_nothing_more(tmp_path: Path) -> None:
    first = run(tiny(), tmp_path)
    again = run(tiny(), tmp_path)
    assert (again["resumed_from_step"], again["first_step_time"]) == (10, first["first_step_time"])
    assert again["metrics"] == first["metrics"]


def test_the_seconds_and_the_first_step_of_earlier_attempts_are_those_of_the_whole_run(
    tmp_path: Path,
) -> None:
    stopped = run(tiny(), tmp_path, stop_after=5)
    path = tmp_path / "checkpoints" / "step-5" / "manifest.json"
    manifest = json.loads(path.read_text())
    assert 0 < manifest["train_seconds"] <= stopped["train_seconds"]
    assert manifest["first_step_time"] == stopped["first_step_time"]
    path.write_text(json.dumps(manifest | {"train_seconds": 5000.0}))
    again = run(tiny(), tmp_path, stop_after=2)
    assert again["train_seconds"] > 5000
    finished = run(tiny(), tmp_path)
    assert finished["train_seconds"] > again["train_seconds"] - 1
    assert finished["first_step_time"] == stopped["first_step_time"]
    assert run(tiny("keep_checkpoints=9"), tmp_path)["train_seconds"] > 5000


def test_a_checkpoint_that_says_nothing_of_seconds_is_gone_on_from(tmp_path: Path) -> None:
    run(tiny(), tmp_path, stop_after=5)
    path = tmp_path / "checkpoints" / "step-5" / "manifest.json"
    manifest = json.loads(path.read_text())
    del manifest["train_seconds"], manifest["first_step_time"]
    path.write_text(json.dumps(manifest))
    assert run(tiny(), tmp_path)["resumed_from_step"] == 5


def test_a_finished_run_run_again_keeps_its_summary_and_a_lost_one_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FLEETFORM_RUN_DIR", str(tmp_path))
    path = tmp_path / "summary.json"
    assert command.main(["digits", *TINY]) == 0
    good = path.read_text()
    assert command.main(["digits", *TINY]) == 0
    assert path.read_text() == good
    assert f"{path} is left as it is" in capsys.readouterr().out
    path.unlink()  # killed after the last checkpoint, before the summary
    assert command.main(["digits", *TINY]) == 0
    made, before = json.loads(path.read_text()), json.loads(good)
    assert made["first_step_time"] == before["first_step_time"]
    assert (made["samples"], made["metrics"]) == (before["samples"], before["metrics"])
    assert 0 < made["train_seconds"] <= before["train_seconds"] + 1


def test_the_summary_of_a_run_that_is_started_over_goes_before_the_first_step(tmp_path: Path) -> None:
    run(tiny(), tmp_path)
    (tmp_path / "summary.json").write_text("{}")
    run(tiny("fresh=true"), tmp_path, stop_after=2)
    assert not (tmp_path / "summary.json").exists()


def test_lines_of_lost_steps_and_a_line_cut_by_a_crash_are_taken_out_of_the_metrics(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step": 1, "loss": 2}\n{"step": 5, "loss": 1}\n{"step": 6, "lo')
    with MetricsLog(path, steps_done=4) as log:
        log.log(5, loss=1.5)
        assert losses(tmp_path) == {1: 2, 5: 1.5}
