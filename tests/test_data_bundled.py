"""The bundled data sets, and what keeps a prepared folder honest."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from trainer import prepare
from trainer.config import load_config
from trainer.data import prepare_data as preparing
from trainer.data.dataset import ABOUT, Dataset, open_dataset
from trainer.data.errors import DatasetError
from trainer.data.find import find_dataset
from trainer.data.mapped import map_safetensors
from trainer.data.prepare_data import Request
from trainer.files.safetensors import Array, write_safetensors

QUICK = ["breast_cancer", "diabetes", "digits", "iris", "python_source", "wine"]
"""Those that need no tokenizer to be trained."""


@pytest.fixture(autouse=True)
def _no_references(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the measuring of other methods: it takes seconds a data set."""
    monkeypatch.setattr(preparing, "references", lambda *arguments: {})


def made(name: str, folder: Path) -> Dataset:
    return open_dataset(preparing.prepare_data(Request(name), folder / name))


@pytest.mark.parametrize("name", QUICK)
def test_preparing_twice_gives_the_same_bytes_and_tells_their_digests(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = []
    for folder in (tmp_path / "a", tmp_path / "b"):
        assert prepare.main([name, "--json", "--out", str(folder)]) == 0
        told.append(json.loads(capsys.readouterr().out))
    assert told[0]["digest"] == told[1]["digest"]
    for first, second in zip(told[0]["files"], told[1]["files"], strict=True):
        content = Path(first["path"]).read_bytes()
        assert content == Path(second["path"]).read_bytes()
        assert first["sha256"] == second["sha256"] == hashlib.sha256(content).hexdigest()
        assert first["bytes"] == len(content)
    names = {Path(file["path"]).name for file in told[0]["files"]}
    assert names == {path.name for path in (tmp_path / "a" / name).iterdir()} - {".prepared"}


def test_the_digits_are_those_of_scikit_learn(tmp_path: Path) -> None:
    from sklearn.datasets import load_digits

    data, truth = made("digits", tmp_path), load_digits()
    held_out = np.arange(1797) % 5 == 4
    for part, chosen in (("train", ~held_out), ("held_out", held_out)):
        arrays = data.arrays(part)
        assert np.array_equal(arrays["pictures"][..., 0], truth.images[chosen])
        assert np.array_equal(arrays["labels"], truth.target[chosen])
    assert data.about["classes"] == [str(digit) for digit in range(10)]
    batch = data.train.batch(np.array([3, 1]), np.empty((2, 0), np.float32))
    assert batch["pictures"].shape == (2, 8, 8, 1)


@pytest.mark.parametrize(
    ("name", "load"),
    [("breast_cancer", "load_breast_cancer"), ("diabetes", "load_diabetes"), ("wine", "load_wine")],
)
def test_the_tables_are_those_of_scikit_learn(name: str, load: str, tmp_path: Path) -> None:
    import sklearn.datasets

    options = {"scaled": False} if name == "diabetes" else {}
    truth = getattr(sklearn.datasets, load)(**options)
    data = made(name, tmp_path)
    train = np.arange(len(truth.target)) % 5 != 4
    arrays, columns = data.arrays("train"), data.about["columns"]
    numbers = [column for column in columns if column["kind"] == "number"]
    back = arrays["numbers"] * [column["std"] for column in numbers] + [column["mean"] for column in numbers]
    kept = [at for at, column in enumerate(columns) if column["kind"] == "number"]
    assert np.allclose(back, truth.data[train][:, kept], rtol=1e-4, atol=1e-4)
    assert np.allclose(arrays["numbers"].mean(axis=0), 0, atol=1e-5)
    if name == "diabetes":
        assert np.allclose(arrays["target"], truth.target[train])
        assert np.array_equal(arrays["categories"][:, 0], truth.data[train][:, 1])
    else:
        names = [data.about["target"]["classes"][label] for label in arrays["target"]]
        assert names == truth.target_names[truth.target[train]].tolist()


def test_the_text_is_the_standard_library_s_and_whole_files_are_held_out(tmp_path: Path) -> None:
    data = made("python_source", tmp_path)
    text = {
        part: "".join(map(data.about["characters"].__getitem__, data.tokens(part)[0].tolist()))
        for part in ("train", "held_out")
    }
    modules = sorted(Path(json.__file__).parent.parent.glob("*.py"))
    spelled = modules[0].read_text(encoding="utf-8")
    assert text["train"].startswith(spelled)
    assert text["held_out"].startswith(modules[4].read_text(encoding="utf-8")[:1000])
    assert spelled not in text["held_out"]
    source = data.token_source("train", 128, shifted=True)
    assert source.num_items == (len(text["train"]) - 1) // 128 - 1


def test_our_file_format_is_read_by_safetensors_and_by_our_own_reader(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    write_safetensors(path, {"a": Array((2, 3), b"abcdef"), "b": Array((0,), b"")}, {"k": "v"})
    ours, theirs = map_safetensors(path), load_file(path)
    assert ours["a"].tolist() == theirs["a"].tolist() == [[97, 98, 99], [100, 101, 102]]
    assert ours["b"].shape == (0,)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ("cut", "8851 bytes, and had 8852"),
        ("flipped", "has been changed"),
        ("gone", "is missing"),
        ("no about", "no prepared data set"),
        ("half an about", "is damaged"),
        ("another format", "is not of the format"),
    ],
)
def test_a_damaged_data_set_is_refused_and_prepared_again(damage: str, said: str, tmp_path: Path) -> None:
    folder = tmp_path / "wine"
    whole = made("wine", tmp_path)
    shard, about = folder / "train-00000.safetensors", folder / ABOUT
    content = shard.read_bytes()
    match damage:
        case "cut":
            shard.write_bytes(content[:-1])
        case "flipped":
            shard.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        case "gone":
            shard.unlink()
        case "no about":
            about.unlink()
        case "half an about":
            about.write_text(about.read_text()[:100])
        case "another format":
            about.write_text('{"format": "other/1"}')
    with pytest.raises(DatasetError, match=said) as caught:
        open_dataset(folder)
    assert "\n" not in str(caught.value)
    assert made("wine", tmp_path).digest == whole.digest


def test_a_data_set_whose_source_is_missing_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert prepare.main(["digits", "--out", str(tmp_path)]) == 2
    assert "pip install scikit-learn" in capsys.readouterr().err
    assert not list(tmp_path.glob(f"*/{ABOUT}"))


def test_data_is_prepared_and_its_references_are_measured_without_torch(tmp_path: Path) -> None:
    code = (
        "import sys; from trainer import prepare; prepare.main(sys.argv[1:]); print('torch' in sys.modules)"
    )
    command = [sys.executable, "-c", code, "wine", "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False"
    assert json.loads((tmp_path / "wine" / ABOUT).read_text())["about"]["references"]


def test_an_unknown_name_is_answered_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert prepare.main(["digitz"]) == 2
    assert "did you mean digits?" in capsys.readouterr().err


def test_the_job_s_data_folder_is_looked_in_first_and_the_cache_is_filled_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    config = load_config("digits")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("FLEETFORM_DATA_DIR", str(tmp_path / "given"))
    assert find_dataset(config, may_prepare=False) is None
    cached = find_dataset(config, may_prepare=True)
    assert cached is not None
    assert cached.is_relative_to(tmp_path / "cache")
    written = (cached / ABOUT).stat().st_mtime_ns
    assert find_dataset(config, may_prepare=False) == find_dataset(config, may_prepare=True) == cached
    assert (cached / ABOUT).stat().st_mtime_ns == written
    made("digits", tmp_path / "given")
    assert find_dataset(config, may_prepare=True) == tmp_path / "given" / "digits"


def test_a_check_reports_and_keeps_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert prepare.main(["wine", "--check"]) == 0
    told = capsys.readouterr().out
    assert "rows: 143 to train on, 35 held out" in told
    assert "3 classes (to train on + held out): class_1 56+15, class_0 48+11, class_2 39+9" in told
    assert not (tmp_path / "cache").exists()
