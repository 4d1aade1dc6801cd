"""Checkpoints on a disk: exact, whole or absent, and readable without us."""

from __future__ import annotations

import errno
import json
import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.distributed.checkpoint.filesystem import FileSystemReader
from torch.distributed.checkpoint.format_utils import dcp_to_torch_save
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import save as dcp_save

from tests.checkpoint_ranks import SETTINGS, digest_at, new_checkpointer, progress, small_state
from trainer.checkpoints import manifest, reading
from trainer.checkpoints.checkpointer import Checkpointer
from trainer.checkpoints.manifest import UnreadableError
from trainer.configs.settings import ConfigError
from trainer.distributed import World

pytestmark = pytest.mark.torch
ALONE = World(rank=0, local_rank=0, world_size=1, device=torch.device("cpu"))


@pytest.fixture
def saver(tmp_path: Path) -> Iterator[Checkpointer]:
    """A checkpointer that has prepared for the small state."""
    checkpointer = new_checkpointer(ALONE, tmp_path)
    yield checkpointer
    checkpointer.close()


def save(checkpointer: Checkpointer, *steps: int) -> None:
    """Save the small state of those steps, each committed before the next."""
    state: Any = small_state()
    checkpointer.prepare(state)
    for step in steps:
        state.set(step)
        checkpointer.save(progress(step))
        state.set(-1)  # what is saved is the state of the call, not of the write
        assert checkpointer.wait()


def resumed(tmp_path: Path, **more: Any) -> tuple[int, str, str]:
    """Resume the small state by another checkpointer; return its step, its digest and where it came from."""
    checkpointer, state = new_checkpointer(ALONE, tmp_path, **more), small_state()
    try:
        found = checkpointer.resume(state)  # type: ignore[arg-type]
        assert found is None or found == progress(found.step)
        return found.step if found else 0, state.digest(), checkpointer.source
    finally:
        checkpointer.close()


def names(tmp_path: Path) -> list[str]:
    """Return what lies in the checkpoints' folder."""
    return sorted(path.name for path in (tmp_path / "checkpoints").iterdir())


def test_every_kind_of_tensor_comes_back_bit_for_bit(saver: Checkpointer, tmp_path: Path) -> None:
    save(saver, 3)
    assert resumed(tmp_path) == (3, digest_at(3), "folder")
    assert saver.costs.saves == 1 and saver.costs.committed_step == 3 and saver.costs.failures == 0
    told = json.loads((tmp_path / "checkpoints" / "step-3" / "manifest.json").read_text())
    assert (told["step"], told["data_cursor"], told["world_size"]) == (3, 30, 1)
    assert set(told["files"]) == {".metadata", "__0_0.distcp"}
    assert saver.costs.bytes == sum(entry["bytes"] for entry in told["files"].values())


def test_what_a_save_says_is_that_of_the_call_and_not_of_the_commit(
    saver: Checkpointer, tmp_path: Path
) -> None:
    state: Any = small_state()
    saver.prepare(state)
    about = progress(1)
    saver.save(about)
    about.data["at"].append("later")
    assert saver.wait()
    assert resumed(tmp_path)[0] == 1


def test_torch_reads_a_checkpoint_without_this_package(saver: Checkpointer, tmp_path: Path) -> None:
    save(saver, 3)
    folder = tmp_path / "checkpoints" / "step-3"
    dcp_to_torch_save(folder, tmp_path / "state.pt")
    read, state = torch.load(tmp_path / "state.pt"), small_state()
    state.set(3)
    for group, tensors in state.tensors().items():
        assert read[group].keys() == tensors.keys()
        assert all(torch.equal(read[group][name], tensor) for name, tensor in tensors.items())
    blank = small_state().tensors()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="torch.distributed is ")
        load(blank, checkpoint_id=folder)
    assert torch.equal(blank["model"]["transposed"], state.tensors()["model"]["transposed"])


def test_the_metadata_is_what_torch_would_have_written(saver: Checkpointer, tmp_path: Path) -> None:
    save(saver, 3)
    folder = tmp_path / "checkpoints" / "step-3"
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="torch.distributed is ")
        dcp_save(small_state().tensors(), checkpoint_id=tmp_path / "torch")
    ours, torchs = (FileSystemReader(each).read_metadata() for each in (folder, tmp_path / "torch"))
    assert ours.state_dict_metadata == torchs.state_dict_metadata
    assert ours.planner_data == torchs.planner_data
    assert ours.storage_data.keys() == torchs.storage_data.keys()
    assert {(i.fqn, i.index) for i in ours.storage_data} == {(i.fqn, i.index) for i in torchs.storage_data}


def test_the_newest_are_kept_and_what_was_left_unfinished_goes(saver: Checkpointer, tmp_path: Path) -> None:
    (tmp_path / "checkpoints" / ".step-9.partial").mkdir(parents=True)
    assert saver.resume(small_state()) is None  # type: ignore[arg-type]
    (tmp_path / "checkpoints" / ".step-2.partial").mkdir()
    save(saver, 1, 2, 3)
    assert names(tmp_path) == ["step-2", "step-3"]


@pytest.mark.parametrize("damage", ["flip", "cut", "missing", "manifest", "unfinished", "metadata"])
def test_a_damaged_checkpoint_is_set_aside_and_the_one_before_is_used(
    damage: str, saver: Checkpointer, tmp_path: Path
) -> None:
    save(saver, 4, 5)
    folder = tmp_path / "checkpoints" / "step-5"
    numbers = folder / "__0_0.distcp"
    content = bytearray(numbers.read_bytes())
    if damage == "flip":
        content[len(content) // 2] ^= 1
        numbers.write_bytes(content)
    elif damage == "cut":
        numbers.write_bytes(content[:-1])
    elif damage == "missing":
        numbers.unlink()
    elif damage == "manifest":
        (folder / "manifest.json").write_text('{"step": 5}')
    elif damage == "unfinished":
        (folder / "manifest.json").unlink()
    else:
        (folder / ".metadata").write_bytes(b"\x80")
    with pytest.warns(UserWarning, match="step-5 is left out: "):
        assert resumed(tmp_path) == (4, digest_at(4), "folder")
    assert names(tmp_path) == ["damaged-step-5", "step-4"]
    save(saver, 6)
    assert names(tmp_path) == ["damaged-step-5", "step-4", "step-6"]


def test_damaged_checkpoints_are_all_kept_until_there_is_a_whole_one_and_then_one(
    saver: Checkpointer, tmp_path: Path
) -> None:
    save(saver, 4, 5)
    for step in (4, 5):
        (tmp_path / "checkpoints" / f"step-{step}" / "__0_0.distcp").write_bytes(b"")
    with pytest.warns(UserWarning, match="is left out"):
        assert resumed(tmp_path)[0] == 0
    assert names(tmp_path) == ["damaged-step-4", "damaged-step-5"]
    save(saver, 6)
    assert len(names(tmp_path)) == 2 and names(tmp_path)[1] == "step-6"


def test_a_checkpoint_that_cannot_be_read_ends_the_run_and_is_not_touched(
    saver: Checkpointer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(saver, 4, 5)

    def refuse(path: Path) -> str:
        raise OSError(errno.EIO, "Input/output error", str(path))

    with monkeypatch.context() as patched:
        patched.setattr(manifest, "_digest", refuse)
        with pytest.raises(UnreadableError, match=r"step-5 cannot be read: .*Input/output error"):
            resumed(tmp_path)
    assert names(tmp_path) == ["step-4", "step-5"]
    assert resumed(tmp_path)[0] == 5


def test_an_error_in_the_middle_of_reading_ends_the_run_and_no_older_checkpoint_is_taken(
    saver: Checkpointer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(saver, 4, 5)

    def load_some(state: dict[str, Any], folder: Path) -> None:
        next(iter(state.values())).fill_(7)
        raise RuntimeError("out of memory")

    with monkeypatch.context() as patched:
        patched.setattr(reading, "_load_alone", load_some)
        with pytest.raises(UnreadableError, match="rank 0: out of memory"):
            resumed(tmp_path)
    assert names(tmp_path) == ["step-4", "step-5"]


def test_resuming_under_other_settings_is_refused_by_name(saver: Checkpointer, tmp_path: Path) -> None:
    save(saver, 1)
    with pytest.raises(ConfigError) as refused:
        resumed(tmp_path, settings=SETTINGS | {"seed": 2, "new": 1}, config_digest="other")
    assert [problem.split(":")[0] for problem in refused.value.problems] == ["new", "seed"]


def test_a_state_of_other_tensors_is_refused_by_name(saver: Checkpointer, tmp_path: Path) -> None:
    save(saver, 1)
    path = tmp_path / "checkpoints"
    checkpointer, state = new_checkpointer(ALONE, tmp_path), small_state()
    state._tensors["model"] |= {"half": torch.zeros(4, dtype=torch.float16), "more": torch.zeros(1)}
    with pytest.raises(ConfigError) as refused:
        checkpointer.resume(state)  # type: ignore[arg-type]
    checkpointer.close()
    assert [problem.split(":")[0] for problem in refused.value.problems] == ["model.half", "model.more"]
    checkpointer, state = new_checkpointer(ALONE, tmp_path), small_state()
    del state._tensors["model"]["half"]
    with pytest.raises(ConfigError, match=r"model\.half: is in the checkpoint .* and not in this run"):
        checkpointer.resume(state)  # type: ignore[arg-type]
    checkpointer.close()
    assert names(tmp_path) == ["step-1"] and path.is_dir()


def test_an_older_checkpoint_that_cannot_be_deleted_is_reported_and_the_save_counts(
    saver: Checkpointer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(saver, 1, 2)
    stuck = tmp_path / "checkpoints" / "step-1"
    (stuck / "manifest.json").unlink()
    (stuck / "manifest.json").mkdir()  # which unlink refuses
    with pytest.warns(UserWarning, match="step-1 cannot be deleted"):
        save(saver, 3)
    assert saver.costs.committed_step == 3
    assert resumed(tmp_path)[0] == 3


def test_clearing_leaves_nothing_to_resume_from(saver: Checkpointer, tmp_path: Path) -> None:
    save(saver, 1)
    (tmp_path / "checkpoints" / "damaged-step-1").mkdir()
    saver.clear()
    assert names(tmp_path) == []
    assert saver.resume(small_state()) is None  # type: ignore[arg-type]


def test_a_state_that_gets_another_tensor_is_planned_anew(tmp_path: Path, saver: Checkpointer) -> None:
    state: Any = small_state()
    saver.prepare(state)
    saver.save(progress(1))
    state._tensors["tracked"] = {"ema": torch.ones(3)}
    saver.save(progress(2))
    assert saver.wait()
    shutil.rmtree(tmp_path / "checkpoints" / "step-1")
    state._tensors["tracked"]["ema"].zero_()
    assert saver.resume(state) == progress(2)
    assert state._tensors["tracked"]["ema"].tolist() == [1, 1, 1]


def test_the_page_s_program_of_one_s_own_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (Path(__file__).parent.parent / "docs" / "checkpoints.md").read_text(encoding="utf-8")
    program = (
        page.partition("## From a program of one's own")[2].partition("```python\n")[2].partition("```")[0]
    )
    monkeypatch.chdir(tmp_path)
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    model = torch.nn.Linear(2, 2)
    optimizer = torch.optim.AdamW(model.parameters())
    taken: list[int] = []

    def train_one(step: int) -> None:
        taken.append(step)
        model(torch.ones(1, 2)).sum().backward()

    for _ in range(2):  # the second time there is nothing left to do
        exec(program, {"model": model, "optimizer": optimizer, "train_one": train_one})
    assert taken == list(range(1, 101))
    assert sorted(path.name for path in (tmp_path / "runs/night/checkpoints").iterdir()) == [
        "step-100",
        "step-90",
    ]
