"""Recipes from raw data to predictor: bundled ones as they stand, and own pictures and tables."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from sklearn.datasets import load_breast_cancer, load_digits

from tests.trainer_runs import own_surroundings as own_surroundings
from tests.trainer_runs import run
from trainer.config import RECIPE_FOLDER, load_config, recipe_names
from trainer.predict import Predictor

pytestmark = [pytest.mark.torch, pytest.mark.usefixtures("own_surroundings")]
SHORT = ["device=cpu", "program=false", "log_every=50"]

TABLE_TOML = """
samples = 4000
global_batch = 32
[data]
kind = "table"
path = "{path}"
target = "finding"
ignore = ["number"]
held_out = 0.3
[model]
kind = "mlp"
width = 32
members = 4
[optimizer]
learning_rate = 3e-3
"""
PICTURES_TOML = """
samples = 1600
global_batch = 32
[data]
kind = "pictures"
path = "{path}"
height = 16
width = 16
colour = "grey"
[model]
kind = "resnet"
depth = 10
width = 8
[optimizer]
learning_rate = 4e-3
"""


def evaluation(run_dir: Path) -> dict[str, Any]:
    """Return evaluation.json."""
    document: dict[str, Any] = json.loads((run_dir / "evaluation.json").read_text())
    return document


@pytest.mark.parametrize(("recipe", "metric"), [("wine", "accuracy"), ("diabetes", "r2")])
def test_a_bundled_recipe_beats_the_baseline_clearly_and_the_trees_do_not_beat_it(
    recipe: str, metric: str, tmp_path: Path
) -> None:
    summary = run(load_config(recipe, SHORT), tmp_path)
    document = evaluation(tmp_path)
    ours = document["metrics"][metric]
    assert summary["metrics"][metric] == ours["value"]
    assert "report" not in summary["metrics"]
    assert ours["low"] > document["baseline"]["metrics"][metric]["value"]
    names = [reference["name"] for reference in document["references"]]
    assert "gradient-boosted trees" in names
    trees = document["references"][names.index("gradient-boosted trees")]["metrics"][metric]
    assert ours["high"] >= trees["value"]


def write_table(path: Path) -> Iterator[dict[str, str]]:
    """Write a table with a category, gaps and a broken row; yield each whole row without its target."""
    data = load_breast_cancer()
    names = ["radius", "texture", "area", "smoothness"]
    columns = [list(data.feature_names).index(f"mean {name}") for name in names]
    generator = np.random.default_rng(0)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["number", *names, "ward", "finding"])
        for number, (row, target) in enumerate(zip(data.data, data.target, strict=True)):
            cells = ["" if generator.random() < 0.05 else f"{row[column]:.4f}" for column in columns]
            ward = str(generator.choice(["north", "south", "east"]))
            finding = str(data.target_names[target])
            writer.writerow([number, *cells, ward, finding])
            yield dict(zip([*names, "ward", "truth"], [*cells, ward, finding], strict=True))
        file.write("570,1.0,2.0\r\n")


def test_a_csv_file_becomes_a_predictor_that_knows_its_gaps_and_categories(tmp_path: Path) -> None:
    table, recipe = tmp_path / "tumours.csv", tmp_path / "tumours.toml"
    rows = list(write_table(table))
    recipe.write_text(TABLE_TOML.format(path=table))
    run_dir = tmp_path / "run"
    run(load_config(recipe, SHORT), run_dir)
    check = json.loads((run_dir / "data.json").read_text())["report"]
    assert check["bad_rows"] == 1
    assert sum(check["rows"].values()) == len(rows)
    document = evaluation(run_dir)
    accuracy = document["metrics"]["accuracy"]
    assert accuracy["low"] > document["baseline"]["metrics"]["accuracy"]["value"] + 0.1
    assert accuracy["n"] == check["rows"]["held_out"]
    predictor = Predictor.load(run_dir / "model")
    fields = {field["name"]: field for field in predictor.describe()["fields"]}
    assert fields["ward"] == {
        "name": "ward", "required": False, "type": "choice", "choices": ["east", "north", "south"],
    }  # fmt: skip
    assert "number" not in fields
    truths = [row.pop("truth") for row in rows]
    answers = predictor.predict(rows)
    assert np.mean([answer["class"] == truth for answer, truth in zip(answers, truths, strict=True)]) > 0.85
    gaps = [any(not cell for cell in row.values()) for row in rows]
    assert [any("missing" in note for note in answer.get("notes", [])) for answer in answers] == gaps


def write_pictures(folder: Path) -> dict[str, NDArray[np.uint8]]:
    """Write some zeros and ones as PNG files, a folder a class; return one of each that is not among them."""
    digits = load_digits()
    kept = {}
    for digit in (0, 1):
        name = f"is_{digit}"
        (folder / name).mkdir(parents=True)
        pictures = np.rint(digits.images[digits.target == digit] * (255 / 16)).astype(np.uint8)
        for number, picture in enumerate(pictures[1:90]):
            Image.fromarray(picture).resize((24, 24)).save(folder / name / f"{number}.png")
        kept[name] = pictures[0]
    (folder / "is_0" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nand no more")
    return kept


def test_a_folder_of_pictures_becomes_a_predictor_for_files(tmp_path: Path) -> None:
    kept = write_pictures(tmp_path / "pictures")
    recipe = tmp_path / "own.toml"
    recipe.write_text(PICTURES_TOML.format(path=tmp_path / "pictures"))
    run_dir = tmp_path / "run"
    run(load_config(recipe, SHORT), run_dir)
    check = json.loads((run_dir / "data.json").read_text())["report"]
    assert check["bad_files"] == 1
    document = evaluation(run_dir)
    assert document["metrics"]["accuracy"]["low"] > 0.8
    assert document["confusion"]["classes"] == ["is_0", "is_1"]
    predictor = Predictor.load(run_dir / "model")
    for name, picture in kept.items():
        Image.fromarray(picture).resize((24, 24)).save(tmp_path / "new.png")
        assert predictor.predict([tmp_path / "new.png"])[0]["class"] == name


def test_the_page_s_examples_are_configurations_and_its_table_has_every_recipe(tmp_path: Path) -> None:
    page = (Path(__file__).parent.parent / "docs" / "recipes.md").read_text(encoding="utf-8")
    examples = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    assert examples
    for number, example in enumerate(examples):
        path = tmp_path / f"{number}.toml"
        path.write_text(example)
        assert load_config(path).data is not None
    named = set(re.findall(r"^\| `([a-z0-9-]+)` \|", page, re.MULTILINE))
    assert set(recipe_names()) <= named


def test_every_bundled_recipe_is_whole_and_says_of_itself_what_it_is() -> None:
    for name in recipe_names():
        path = RECIPE_FOLDER / f"{name}.toml"
        if "[data]" in path.read_text():  # names data of the user's own
            continue
        assert load_config(name).dataset
        assert path.read_text().startswith("# ")
