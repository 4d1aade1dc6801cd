"""The model folder: the card's lines work with torch alone, the predictor takes what a user has at hand."""

from __future__ import annotations

import base64
import dataclasses
import io
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor, nn

from trainer.config import load_config
from trainer.configs.settings import ConfigError
from trainer.configs.text_models import TextClassifierConfig
from trainer.data.dataset import open_dataset
from trainer.data.find import find_dataset
from trainer.distributed import World
from trainer.export.model_folder import ModelFolderError, save_model, save_tensors
from trainer.models.text_classifier import TextClassifier
from trainer.predict import Predictor, main
from trainer.predictors.contract import InputError
from trainer.predictors.text import read_request
from trainer.tasks.task import build_task

pytestmark = pytest.mark.torch
ALONE = World(rank=0, local_rank=0, world_size=1, device=torch.device("cpu"))
TINY = {
    "digits": ["model.channels=8"],
    "breast-cancer": ["model.width=16", "model.members=2"],
    "diabetes": ["model.width=16", "model.members=2"],
}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return the run directory of each recipe, its model a few steps old."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))
        patch.delenv("FLEETFORM_DATA_DIR", raising=False)
        return {name: make_model(name, tmp_path_factory.mktemp(name)) for name in TINY}


def make_model(recipe: str, run_dir: Path, *overrides: str) -> Path:
    """Train a few steps by hand and save the model into the run directory."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    config = load_config(recipe, [*TINY[recipe], *overrides])
    folder = find_dataset(config, may_prepare=True)
    assert folder is not None
    task = build_task(config, open_dataset(folder))
    model, generator = task.build_model(), np.random.default_rng(0)
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    for _ in range(40):
        items = generator.integers(0, task.source.num_items, 64)
        noise = np.zeros((64, task.source.noise_width), np.float32)
        loss, _ = task.loss(model, task.source.batch(items, noise))
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    with torch.no_grad():
        metrics = task.evaluate(model.eval(), ALONE)
    save_model(run_dir, model.state_dict(), config, task, metrics)
    return run_dir


@pytest.fixture(autouse=True)
def same_cache(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Let predictions find the data that the models were made of."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))
    monkeypatch.delenv("FLEETFORM_DATA_DIR", raising=False)


def card_lines(run_dir: Path) -> str:
    """Return the card's first block of Python."""
    card = (run_dir / "model" / "README.md").read_text(encoding="utf-8")
    found = re.search(r"```python\n(.*?)```", card, re.DOTALL)
    assert found
    return found[1]


def test_the_card_s_three_lines_run_where_there_is_torch_and_nothing_of_ours(models: dict[str, Path]) -> None:
    code = ["import os, sys", "sys.modules['trainer'] = None"]
    for run_dir in models.values():
        lines = card_lines(run_dir)
        assert len(lines.splitlines()) == 3
        code += [f"os.chdir({str(run_dir / 'model')!r})", lines]
    ran = subprocess.run(
        [sys.executable, "-I", "-c", "\n".join(code)], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    digits, tumours, progression = re.findall(r"tensor\((\[.*?\])[),]", ran.stdout, re.DOTALL)
    assert len(json.loads(digits)[0]) == 10
    assert sum(json.loads(tumours)[0]) == pytest.approx(1, abs=1e-3)
    assert len(json.loads(progression)) == 1


@pytest.mark.parametrize("recipe", TINY)
def test_the_program_answers_any_number_of_rows_as_the_predictor_does(
    recipe: str, models: dict[str, Path]
) -> None:
    folder = models[recipe] / "model"
    program = torch.export.load(folder / "model.pt2").module()
    predictor = Predictor.load(folder)
    fields = predictor.describe()["fields"]
    generator = np.random.default_rng(1)
    if recipe == "digits":
        inputs: list[Any] = list(generator.integers(0, 17, (5, 8, 8, 1)).astype(np.uint8))
        given: tuple[Tensor, ...] = (torch.from_numpy(np.stack(inputs)),)
    else:
        numbers = [field for field in fields if field["type"] == "number"]
        inputs = [
            {field["name"]: float(generator.uniform(field["min"], field["max"])) for field in numbers}
            for _ in range(5)
        ]
        inputs = [
            row | {field["name"]: field["choices"][-1] for field in fields if field["type"] == "choice"}
            for row in inputs
        ]
        codes = [[len(field["choices"]) for field in fields if field["type"] == "choice"]] * 5
        table = torch.tensor(
            [[row[field["name"]] for field in numbers] for row in inputs], dtype=torch.float64
        )
        given = table, torch.tensor(codes, dtype=torch.int64).view(5, -1)
    found, answers = program(*given), predictor.predict(inputs)
    if recipe == "diabetes":
        assert found.tolist() == pytest.approx([answer["number"] for answer in answers], rel=1e-4)
    else:
        classes = predictor.describe()["answer"]["classes"]
        expected = [[answer["probabilities"][name] for name in classes] for answer in answers]
        assert np.allclose(found.numpy(), expected, atol=1e-4)
    assert not found.requires_grad


@pytest.mark.parametrize("recipe", TINY)
def test_the_folder_holds_the_weights_and_the_evaluation_beside_baseline_and_references(
    recipe: str, models: dict[str, Path]
) -> None:
    run_dir = models[recipe]
    assert load_file(run_dir / "model" / "model.safetensors")
    description = json.loads((run_dir / "model" / "config.json").read_text())
    document = json.loads((run_dir / "evaluation.json").read_text())
    assert (description["format"], document["format"]) == ("fleetform-model/1", "fleetform-evaluation/1")
    card = (run_dir / "model" / "README.md").read_text()
    data = description["data"]
    assert all(said in card for said in (data["digest"], data["licence"], "## Limits"))
    assert all(said in card for said in (document["baseline"]["name"], document["references"][0]["name"]))
    main_metric = "mae" if recipe == "diabetes" else "accuracy"
    entry = document["metrics"][main_metric]
    assert entry["low"] < entry["value"] < entry["high"]
    assert description["metrics"][main_metric] == entry["value"]
    assert ("A prediction's interval goes" in card) == (recipe == "diabetes")


def test_a_model_that_torch_export_cannot_follow_has_a_card_without_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forward: Callable[[nn.Module, Tensor], Tensor] = lambda self, pictures: (  # noqa: E731
        torch.zeros(len(pictures), 10) if float(pictures.sum()) > 0 else torch.ones(len(pictures), 10)
    )
    monkeypatch.setattr("trainer.tasks.pictures.PictureClassifier.forward", forward)
    with pytest.warns(UserWarning, match=r"no model\.pt2: torch\.export cannot follow this model"):
        make_model("digits", tmp_path)
    assert not (tmp_path / "model" / "model.pt2").exists()
    assert "torch.export" not in (tmp_path / "model" / "README.md").read_text()


def test_no_program_is_written_where_it_is_not_wanted(tmp_path: Path) -> None:
    make_model("digits", tmp_path, "program=false")
    assert {path.name for path in (tmp_path / "model").iterdir()} == {
        "README.md",
        "config.json",
        "model.safetensors",
    }


def test_a_picture_is_taken_as_path_bytes_base64_or_pixels(models: dict[str, Path], tmp_path: Path) -> None:
    predictor = Predictor.load(models["digits"] / "model")
    pixels = np.random.default_rng(0).integers(0, 17, (8, 8)).astype(np.uint8)
    image, path = io.BytesIO(), tmp_path / "seven.png"
    Image.fromarray(np.rint(pixels * (255 / 16)).astype(np.uint8)).save(image, format="PNG")
    path.write_bytes(image.getvalue())
    text = base64.b64encode(image.getvalue()).decode()
    answers = predictor.predict([
        path, image.getvalue(), text, {"picture": f" {text[:40]}\n{text[40:]}"},
        {"picture": f"data:image/png;base64,{text}"},
        pixels.tolist(), {"picture": pixels.tolist()},
    ])  # fmt: skip
    assert all(answer == answers[0] for answer in answers)
    assert list(answers[0]["probabilities"].values()) == sorted(
        answers[0]["probabilities"].values(), reverse=True
    )


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (Path("nowhere.png"), "No such file"),
        ("pyproject.toml", "is no base64 of a picture"),
        ([[0] * 64], "wanted are"),
        ([[[0] * 8] * 8], "wanted are"),
        (b"no picture", "is no picture of a kind that is known"),
        ([[1, 2], [3]], "no picture of equal rows"),
        ([[17] * 8] * 8, "0 to 16"),
        ({"picture": "pyproject.toml"}, "is no base64 of a picture"),
        (None, "not a picture"),
    ],
)
def test_what_is_no_picture_is_refused_with_what_is_wanted(
    given: Any, said: str, models: dict[str, Path]
) -> None:
    with pytest.raises(InputError, match=f"input 1: .*{said}"):
        Predictor.load(models["digits"] / "model").predict([[[0] * 8] * 8, given])


def test_a_row_may_lack_columns_and_have_others_and_its_answer_says_so(models: dict[str, Path]) -> None:
    predictor = Predictor.load(models["diabetes"] / "model")
    full = {field["name"]: field.get("example", "1") for field in predictor.describe()["fields"]}
    shuffled = dict(reversed(full.items())) | {"progression": 5}
    plain, same, strange = predictor.predict([full, shuffled, {"bmi": "99", "sex": "other", "bim": 1}])
    assert plain == same and "notes" not in plain
    assert plain["low"] < plain["number"] < plain["high"]
    assert [note.split(",")[0] for note in strange["notes"]] == [
        "bim: is no column of the training data",
        "missing: age",
        "sex: 'other' is a category that training did not have",
        "bmi: 99 is outside of what training saw",
    ]
    assert "did you mean bmi?" in strange["notes"][0]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"bmi": "fat"}, "input 1: column 'bmi': 'fat' is no number"),
        ({"height": 3}, "input 1: has none of the columns age, sex, bmi"),
        ([1, 2], "input 1: is list, not a row of column and value"),
        ({"bmi": [20]}, "input 1: column 'bmi': list is no cell of a table"),
        ({"bmi": 20, 3: {}}, "input 1: column 3: dict is no cell of a table"),
        ({"sex": "\ud800"}, "input 1: column 'sex': character 1 is half of one"),
        ({"bmi": 1e300}, "input 1: column 'bmi': 1e+300 is too large"),
    ],
)
def test_what_is_no_row_is_refused_with_its_place(given: Any, said: str, models: dict[str, Path]) -> None:
    with pytest.raises(InputError, match=re.escape(said)):
        Predictor.load(models["diabetes"] / "model").predict([{"bmi": 20}, given])


def test_the_command_line_takes_rows_of_a_file_and_prints_json(
    models: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows, model = tmp_path / "rows.csv", str(models["diabetes"] / "model")
    rows.write_text("bmi;age\n24.5;40\n31;70\n")
    assert main([model, "--rows", str(rows), "--json"]) == 0
    from_file = json.loads(capsys.readouterr().out)["answers"]
    assert main([model, "--input", '[{"bmi": 24.5, "age": 40}, {"bmi": 31, "age": 70}]', "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["answers"] == from_file
    assert main([model, "--rows", str(rows)]) == 0
    assert "in 90% of cases)" in capsys.readouterr().out
    rows.write_text("bmi;age\n24.5\n")
    assert main([model, "--rows", str(rows)]) == 2
    told = capsys.readouterr().err
    assert "--rows: rows.csv, row 1: has 1 cells, the header has 2" in told
    assert "max_bad_share" not in told
    rows.write_text("bmi;age\n")
    assert main([model, "--rows", str(rows)]) == 2
    assert "has no rows" in capsys.readouterr().err


@pytest.mark.parametrize("recipe", TINY)
def test_held_out_items_are_shown_beside_what_they_are(
    recipe: str, models: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    model = str(models[recipe] / "model")
    assert main([model, "--count", "3", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["count"] == len(result["predictions"]) == 3
    assert main([model, "--count", "3"]) == 0
    shown = capsys.readouterr().out
    assert "is 4" in shown if recipe == "digits" else "is " in shown
    assert ("@" in shown) == (recipe == "digits")


def test_the_held_out_items_of_other_data_than_it_was_trained_on_are_not_shown(
    models: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    for file in (models["digits"] / "model").iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    description = json.loads((folder / "config.json").read_text())
    description["data"]["digest"] = "0" * 64
    (folder / "config.json").write_text(json.dumps(description))
    assert main([str(folder)]) == 2
    assert "is not what this model was trained on" in capsys.readouterr().err


def test_a_folder_without_a_whole_model_is_refused(models: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(ModelFolderError, match="holds no model of this trainer"):
        Predictor.load(tmp_path)
    whole = (models["digits"] / "model" / "model.safetensors").read_bytes()
    (tmp_path / "config.json").write_text((models["digits"] / "model" / "config.json").read_text())
    (tmp_path / "model.safetensors").write_bytes(whole[:-1])
    with pytest.raises(ModelFolderError, match="not all there"):
        Predictor.load(tmp_path)


def test_pictures_without_pillow_are_refused_with_what_to_install(
    models: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    predictor = Predictor.load(models["digits"] / "model")
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(InputError, match="input 0: to decode pictures: pip install pillow"):
        predictor.predict([b"a picture"])


def test_a_model_whose_tokenizer_is_missing_or_damaged_is_no_whole_model(tmp_path: Path) -> None:
    config = TextClassifierConfig(width=8)
    model = TextClassifier(config, 300, 2, 0)
    save_tensors(tmp_path / "model.safetensors", model.state_dict())
    about = {"classes": ["a", "b"], "tokenizer": "tokenizer.json", "vocabulary_size": 300, "padding": 0}
    description = {"model": dataclasses.asdict(config), "about": about}
    (tmp_path / "config.json").write_text(json.dumps(description))
    with pytest.raises(ModelFolderError, match="holds no whole model of this trainer: FileNotFoundError"):
        Predictor.load(tmp_path)
    (tmp_path / "tokenizer.json").write_text('{"model": 3}')
    with pytest.raises(ConfigError, match=r"tokenizer\.json: cannot be read"):
        Predictor.load(tmp_path)


@pytest.mark.parametrize("given", ["\ud800", {"prompt": "a\udcff"}])
def test_half_a_character_is_no_text(given: Any) -> None:
    with pytest.raises(InputError, match=r"input 7: character \d is half of one"):
        read_request(given, 7)
