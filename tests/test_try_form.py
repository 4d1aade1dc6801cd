"""The form of a model before it is loaded: the fields that its predictor wants, and inputs that it takes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fleet.try_form import input_of, try_form
from stacks.problems import UserError
from tests.test_recipe_export import make_model
from trainer.predict import Predictor
from trainer.predictors.text import DRAW_FIELDS

pytestmark = pytest.mark.torch


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "cache"))
    monkeypatch.delenv("FLEETFORM_DATA_DIR", raising=False)


@pytest.mark.parametrize("recipe", ["digits", "diabetes"])
def test_the_fields_are_those_that_the_loaded_model_describes(recipe: str, tmp_path: Path) -> None:
    folder = make_model(recipe, tmp_path, "program=false") / "model"
    fields = try_form(json.loads((folder / "config.json").read_text()))
    described = Predictor.load(folder).describe()["fields"]
    assert [field.name for field in fields] == [each["name"] for each in described]
    for field, each in zip(fields, described, strict=True):
        assert field.kind == each["type"]
        assert list(field.choices) == each.get("choices", [])
        assert (field.low, field.high) == (each.get("min"), each.get("max"))


def test_a_row_is_read_as_the_training_rows_were(tmp_path: Path) -> None:
    folder = make_model("diabetes", tmp_path, "program=false") / "model"
    fields = try_form(json.loads((folder / "config.json").read_text()))
    row = input_of(fields, {"age": " 40 ", "bmi": "24.5", "sex": ""})
    assert row == {"age": " 40 ", "bmi": "24.5"}
    answer = Predictor.load(folder).predict([row])[0]
    assert "missing" in answer["notes"][0]
    with pytest.raises(UserError, match="nothing is filled in"):
        input_of(fields, {"age": "  "})


def test_what_draws_a_text_has_the_fields_and_bounds_of_its_predictor() -> None:
    fields = {field.name: field for field in try_form({"model": {"kind": "gpt"}})}
    described = {each["name"]: each for each in DRAW_FIELDS}
    assert set(fields) <= set(described)
    for name, field in fields.items():
        assert (field.low, field.high) == (described[name].get("min"), described[name].get("max"))
    given = input_of(
        tuple(fields.values()), {"prompt": "def ", "length": "10", "temperature": "0.5", "seed": ""}
    )
    assert given == {"prompt": "def ", "length": 10, "temperature": 0.5}
    for name, value in (("length", "many"), ("length", "1.5"), ("temperature", "warm")):
        with pytest.raises(UserError, match="is no"):
            input_of(tuple(fields.values()), {"prompt": "a", name: value})
    with pytest.raises(UserError, match="prompt is empty"):
        input_of(tuple(fields.values()), {"length": "10"})


def test_a_kind_of_model_that_is_not_known_is_the_users_business() -> None:
    for config in ({}, {"model": {"kind": "own"}}):
        with pytest.raises(UserError, match="can't be tried here"):
            try_form(config)
