"""The bundled data sets' files and the order of samples drawn from them."""

from __future__ import annotations

import hashlib
import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from trainer import prepare
from trainer.data import bundled as datasets
from trainer.data.data_file import find_data, open_data
from trainer.data.errors import DatasetError
from trainer.data.sample_order import SampleOrder
from trainer.safetensors_file import Array, write_safetensors


def prepared(name: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> tuple[Path, str]:
    assert prepare.main([name, "--out", str(folder)]) == 0
    told = json.loads(capsys.readouterr().out)
    (entry,) = told["files"]
    assert told["dataset"] == name
    assert entry["bytes"] == Path(entry["path"]).stat().st_size
    return Path(entry["path"]), entry["sha256"]


@pytest.mark.parametrize("name", datasets.dataset_names())
def test_preparing_twice_gives_the_same_bytes_and_tells_their_digest(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, digest = prepared(name, tmp_path / "a", capsys)
    second, again = prepared(name, tmp_path / "b", capsys)
    assert first.read_bytes() == second.read_bytes()
    assert digest == again == hashlib.sha256(first.read_bytes()).hexdigest()
    assert [path.name for path in (tmp_path / "a").iterdir()] == [f"{name}.safetensors"]


def test_the_digits_are_those_of_scikit_learn(tmp_path: Path) -> None:
    from sklearn.datasets import load_digits

    arrays = load_file(datasets.prepare("digits", tmp_path))
    truth = load_digits()
    assert np.array_equal(arrays["images"], truth.images)
    assert np.array_equal(arrays["labels"], truth.target)


def test_the_text_is_the_standard_library_s_and_whole_files_are_held_out(tmp_path: Path) -> None:
    data = open_data(datasets.prepare("python_source", tmp_path))
    text = {
        part: "".join(map(data.about["characters"].__getitem__, tokens.tolist()))
        for part, tokens in data.arrays.items()
    }
    modules = sorted(Path(json.__file__).parent.parent.glob("*.py"))
    spelled = modules[0].read_text(encoding="utf-8")
    assert text["train"].startswith(spelled)
    assert text["held_out"].startswith(modules[4].read_text(encoding="utf-8")[:1000])
    assert spelled not in text["held_out"]


def test_our_file_format_is_read_by_safetensors_and_by_our_own_reader(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    write_safetensors(path, {"a": Array((2, 3), b"abcdef"), "b": Array((0,), b"")}, {"k": "v"})
    ours, theirs = open_data(path), load_file(path)
    assert ours.about == {"k": "v"}
    assert ours.arrays["a"].tolist() == theirs["a"].tolist() == [[97, 98, 99], [100, 101, 102]]


@pytest.mark.parametrize("damage", ["cut", "header", "length", "empty"])
def test_a_damaged_data_file_is_refused(damage: str, tmp_path: Path) -> None:
    path = datasets.prepare("digits", tmp_path)
    whole = path.read_bytes()
    damaged = {
        "cut": whole[:-1],
        "header": whole[:8] + b"x" + whole[9:],
        "length": b"\xff" * 8 + whole[8:],
        "empty": b"",
    }
    path.write_bytes(damaged[damage])
    with pytest.raises(DatasetError, match="is damaged"):
        open_data(path)


def test_a_data_set_whose_source_is_missing_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert prepare.main(["digits", "--out", str(tmp_path)]) == 2
    assert "pip install scikit-learn" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_the_job_s_data_folder_is_looked_in_first_and_the_cache_is_filled_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("FLEETFORM_DATA_DIR", str(tmp_path / "given"))
    assert find_data("digits", may_prepare=False) is None
    cached = find_data("digits", may_prepare=True)
    assert cached is not None and cached.is_relative_to(tmp_path / "cache")
    assert find_data("digits", may_prepare=False) == cached
    given = datasets.prepare("digits", tmp_path / "given")
    assert find_data("digits", may_prepare=True) == given


def test_every_epoch_draws_every_item_once_in_another_order() -> None:
    order = SampleOrder(num_items=50, num_samples=150, global_batch=20, seed=3)
    drawn = np.concatenate([order.step(step).items for step in range(1, 9)])
    epochs = drawn.reshape(3, 50)
    assert all(sorted(epoch) == list(range(50)) for epoch in epochs.tolist())
    assert not np.array_equal(epochs[0], epochs[1])
    assert [order.size(step) for step in (1, 7, 8)] == [20, 20, 10]
    assert [order.done(step) for step in (1, 7, 8)] == [20, 140, 150]


@pytest.mark.parametrize("world_size", [2, 3, 7])
def test_a_step_is_the_same_samples_and_noise_for_any_world_size(world_size: int) -> None:
    order = SampleOrder(num_items=1000, num_samples=6400, global_batch=64, seed=1)
    cuts = [64 * rank // world_size for rank in range(world_size + 1)]
    for step in (1, 2, 100):
        whole = order.step(step)
        parts = [order.step(step, slice(a, b)) for a, b in itertools.pairwise(cuts)]
        assert np.array_equal(np.concatenate([part.items for part in parts]), whole.items)
        assert np.array_equal(np.concatenate([part.noise for part in parts]), whole.noise)
        assert {part.num_global for part in parts} == {64}


def test_a_step_asked_for_alone_is_what_it_was_in_sequence() -> None:
    walked = SampleOrder(num_items=70, num_samples=7000, global_batch=64, seed=5)
    sequence = [walked.step(step).items.tolist() for step in range(1, 31)]
    assert (
        SampleOrder(num_items=70, num_samples=7000, global_batch=64, seed=5).step(30).items.tolist()
        == sequence[-1]
    )
    other = SampleOrder(num_items=70, num_samples=7000, global_batch=64, seed=6)
    assert other.step(30).items.tolist() != sequence[-1]
