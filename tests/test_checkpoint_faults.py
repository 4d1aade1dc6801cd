"""What goes wrong beside the training: the writer dies, the disk is full, the memory is torn."""

from __future__ import annotations

import os
import resource
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.checkpoint_ranks import digest_at, new_checkpointer, progress, run_ranks, small_state
from trainer.checkpoints.checkpointer import MEMORY_VARIABLE, Checkpointer
from trainer.checkpoints.slots import MAX_ABOUT_BYTES, Shape, Slots, read_shape
from trainer.checkpoints.state_copy import choose_num_slots, free_memory
from trainer.distributed import World
from trainer.state import Progress

pytestmark = pytest.mark.torch
ALONE = World(rank=0, local_rank=0, world_size=1, device=torch.device("cpu"))


def prepared(folder: Path, **more: Any) -> tuple[Checkpointer, Any]:
    """Return a checkpointer that has begun a run of the small state, and the state."""
    saver, state = new_checkpointer(ALONE, folder, **more), small_state()
    assert saver.resume(state) is None  # type: ignore[arg-type]
    saver.prepare(state)  # type: ignore[arg-type]
    return saver, state


def save(saver: Checkpointer, state: Any, step: int) -> bool:
    """Save a step; return whether it was committed."""
    state.set(step)
    saver.save(progress(step))
    return saver.wait()


def names(folder: Path) -> list[str]:
    """Return what lies in the checkpoints' folder."""
    return sorted(path.name for path in (folder / "checkpoints").iterdir())


def test_a_writer_that_dies_is_reported_and_replaced_and_its_save_is_not_committed(tmp_path: Path) -> None:
    saver, state = prepared(tmp_path, bytes_per_second=100_000)
    first = saver.writer_pid
    state.set(1)
    saver.save(progress(1))
    time.sleep(0.2)
    os.kill(first, signal.SIGKILL)
    with pytest.warns(UserWarning) as told:
        assert not saver.wait()
    assert [str(each.message) for each in told] == [
        "the checkpoints' writer ended with -9; another is started, the save is lost",
        "the checkpoint of step 1 is not saved, training goes on: rank 0: its writer has died",
    ]
    assert saver.writer_pid != first
    assert save(saver, state, 2)
    saver.close()
    assert names(tmp_path) == ["step-2"]
    assert saver.costs.failures == 1


def test_a_full_disk_fails_the_save_and_neither_the_run_nor_older_checkpoints(tmp_path: Path) -> None:
    saver, state = prepared(tmp_path)
    assert save(saver, state, 1)
    usual = resource.prlimit(saver.writer_pid, resource.RLIMIT_FSIZE, (8192, resource.RLIM_INFINITY))
    with pytest.warns(UserWarning, match=r"step 2 is not saved, training goes on: rank 0: OSError: .*large"):
        assert not save(saver, state, 2)
    resource.prlimit(saver.writer_pid, resource.RLIMIT_FSIZE, usual)
    deadline = time.monotonic() + 10
    while names(tmp_path) != ["step-1"] and time.monotonic() < deadline:
        time.sleep(0.01)  # the writer clears away what it has written
    assert names(tmp_path) == ["step-1"]
    assert save(saver, state, 3)
    saver.close()
    assert names(tmp_path) == ["step-1", "step-3"]


def test_the_writer_ends_with_the_trainer_even_in_the_middle_of_a_write(tmp_path: Path) -> None:
    answer, _ = run_ranks(begin_slow_save, 1, tmp_path)[0]
    deadline = time.monotonic() + 10
    while Path(f"/proc/{answer}").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not Path(f"/proc/{answer}").exists()
    assert names(tmp_path) == [".step-1.partial"]


def begin_slow_save(world: World, folder: Path) -> int:
    """Begin a save that takes minutes, leave it so, and return the writer's process id."""
    saver, state = prepared(folder, bytes_per_second=100)
    state.set(1)
    saver.save(progress(1))
    while not (folder / "checkpoints" / ".step-1.partial").exists():
        time.sleep(0.01)
    return saver.writer_pid


def resumed(folder: Path, **more: Any) -> tuple[int, str, str]:
    """Resume; return the step, the digest of the state and where it came from."""
    saver, state = new_checkpointer(ALONE, folder, **more), small_state()
    found = saver.resume(state)  # type: ignore[arg-type]
    saver.close()
    return found.step if found else 0, state.digest(), saver.source


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> int:
    """A memory that outlives each checkpointer, as the launcher gives."""
    descriptor = os.memfd_create("kept")
    monkeypatch.setenv(MEMORY_VARIABLE, str(descriptor))
    return descriptor


def test_the_memory_has_every_kind_of_tensor_bit_for_bit(tmp_path: Path, memory: int) -> None:
    saver, state = prepared(tmp_path)
    for step in range(1, 6):
        state.set(step)
        assert saver.remember(progress(step))
    saver.close()
    assert resumed(tmp_path) == (5, digest_at(5), "memory")


def test_a_torn_copy_is_never_used(tmp_path: Path, memory: int) -> None:
    saver, state = prepared(tmp_path)
    for step in (1, 2):
        state.set(step)
        saver.remember(progress(step))
    saver.close()
    shape = read_shape(memory)
    assert shape is not None
    slots = Slots(memory, shape)
    slots.begin(slots.steps()[2])  # killed while it copied step 2
    assert resumed(tmp_path) == (1, digest_at(1), "memory")


def test_while_a_save_is_written_the_memory_stays_at_most_a_step_behind(tmp_path: Path, memory: int) -> None:
    saver, state = prepared(tmp_path, bytes_per_second=20_000)
    state.set(1)
    saver.save(progress(1))
    for step in range(2, 9):
        state.set(step)
        assert saver.remember(progress(step))
        assert not saver.written()
    saver.close()
    assert resumed(tmp_path) == (8, digest_at(8), "memory")


def test_with_room_for_two_copies_the_one_that_is_written_is_not_written_over(
    tmp_path: Path, memory: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainer.checkpoints.checkpointer.choose_num_slots", lambda *_, **__: 2)
    saver, state = prepared(tmp_path, bytes_per_second=20_000)
    state.set(1)
    saver.save(progress(1))
    remembered = []
    for step in (2, 3):
        state.set(step)
        remembered.append(saver.remember(progress(step)))
    assert remembered == [True, False]  # step 2 is the newest whole one, step 1 is being written
    assert saver.wait()
    saver.close()
    monkeypatch.delenv(MEMORY_VARIABLE)
    assert resumed(tmp_path) == (1, digest_at(1), "folder")


def test_a_memory_of_other_settings_or_of_another_run_is_not_used(tmp_path: Path, memory: int) -> None:
    saver, state = prepared(tmp_path)
    state.set(1)
    saver.remember(progress(1))
    saver.close()
    assert resumed(tmp_path, config_digest="other")[0] == 0
    assert resumed(tmp_path / "elsewhere")[0] == 0


def test_steps_of_a_history_that_was_given_up_are_forgotten(tmp_path: Path, memory: int) -> None:
    saver, state = prepared(tmp_path)
    assert save(saver, state, 1)
    state.set(5)
    saver.remember(progress(5))
    saver.close()
    shape = read_shape(memory)
    assert shape is not None
    Slots(memory, shape).begin(Slots(memory, shape).steps()[5])
    assert resumed(tmp_path)[0] == 1
    assert set(Slots(memory, shape).steps()) <= {1}


def test_a_state_of_the_data_too_large_for_the_memory_is_told_once_and_still_saved(tmp_path: Path) -> None:
    saver, state = prepared(tmp_path)
    state.set(1)
    large = Progress(step=1, samples=10, data={"text": "x" * MAX_ABOUT_BYTES})
    with pytest.warns(UserWarning, match="too much for the snapshots in memory"):
        saver.save(large)
    assert saver.wait()
    saver.close()
    other = new_checkpointer(ALONE, tmp_path)
    assert other.resume(small_state()) == large  # type: ignore[arg-type]
    other.close()


def test_a_memory_of_another_shape_is_given_up(memory: int) -> None:
    shape = Shape(layout_digest="a", run_digest="b", num_slots=2, image_bytes=5000)
    slots = Slots(memory, shape)
    slots.begin(0)
    slots.finish(0, 7, b"{}")
    assert Slots(memory, shape).steps() == {7: 0}
    assert Slots(memory, Shape(**{**vars(shape), "run_digest": "c"})).steps() == {}


def test_three_copies_are_kept_where_half_of_the_free_memory_has_room_for_them() -> None:
    free = free_memory()
    assert choose_num_slots(free // 100, 8, snapshots=True) == 3
    assert choose_num_slots(free // 10, 8, snapshots=True) == 2
    assert choose_num_slots(free // 10, 8, snapshots=False) == 1
