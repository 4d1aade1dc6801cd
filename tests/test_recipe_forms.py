"""Forms for people who write no settings: what they lead to trains, what can't be is told, all at once."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fleet.recipe_forms import form_of, forms, overrides
from fleet.recipe_knobs import FormData, RecipeForm
from stacks.problems import UserError
from trainer.__main__ import main
from trainer.config import Config, load_config
from trainer.data import prepare_own

COLUMNS = ("text", "label", "age", "1")
FILLED: dict[str, dict[str, Any]] = {
    "sort-pictures": {"side": "64", "network": "small"},
    "predict-column": {"target": "label", "ignore": ["age"]},
    "classify-text": {"text": "text", "label": "label"},
    "continue-text": {"text": "text"},
}
"""What somebody fills in where there is no default."""


def config_of(form: RecipeForm, values: dict[str, Any], data: FormData) -> Config:
    return load_config(form.recipe, overrides(form, values, data))


def problems_of(key: str, values: dict[str, Any], data: FormData) -> dict[str, str]:
    with pytest.raises(UserError) as caught:
        overrides(form_of(key), values, data)
    return {problem.path: problem.what for problem in caught.value.problems}


def data_of(
    path: Path | str = "somewhere", items: int = 2000, columns: tuple[str, ...] = COLUMNS
) -> FormData:
    return FormData(path=str(path), items=items, columns=columns)


@pytest.mark.parametrize("form", forms(), ids=lambda form: form.key)
def test_every_value_that_a_form_offers_is_one_that_its_recipe_takes(form: RecipeForm) -> None:
    for knob in form.knobs:
        offered: list[Any] = [choice.value for choice in knob.choices]
        offered += [knob.low, knob.high, str(knob.low)] if knob.kind == "whole" else []
        for value in offered:
            config = config_of(form, {**FILLED[form.key], knob.key: value}, data_of())
            assert config.data is not None and config.data.kind == form.data_kind
            assert config.data.path == "somewhere"


@pytest.mark.parametrize("form", forms(), ids=lambda form: form.key)
def test_a_form_asks_for_two_or_three_things_beside_columns_and_says_why(form: RecipeForm) -> None:
    dials = [knob for knob in form.knobs if knob.kind in ("whole", "choice")]
    assert 1 <= len(dials) <= 3 and len(form.knobs) <= 4
    assert all(knob.why.endswith(".") and knob.label for knob in form.knobs)
    for knob in dials:
        assert knob.default in [choice.value for choice in knob.choices] or knob.low <= int(knob.default)


def test_a_pass_is_over_all_items_and_small_data_has_small_batches() -> None:
    form = form_of("sort-pictures")
    for items, batch in ((3, 8), (500, 32), (50_000, 128)):
        config = config_of(form, {"passes": 7}, data_of(items=items))
        assert (config.samples, config.global_batch) == (7 * items, batch)


@pytest.mark.parametrize("processes", [1, 8, 12, 64])
def test_no_process_is_left_without_a_sample(processes: int) -> None:
    form = form_of("sort-pictures")
    for items in (3, 77, 500, 50_000):
        found = overrides(form, {"passes": 3}, data_of(items=items), processes)
        config = load_config(form.recipe, found)
        last = config.samples % config.global_batch or config.global_batch
        assert min(last, config.global_batch) >= processes
        assert 3 * items - config.global_batch < config.samples <= max(3 * items, config.global_batch)


def test_text_to_be_continued_is_counted_in_windows_of_the_chosen_model() -> None:
    form = form_of("continue-text")
    for size, context, windows in (("mini", 128, 7812), ("10m", 512, 1953), ("50m", 1024, 976)):
        config = config_of(form, {"size": size, "passes": 2}, data_of(items=1_000_000))
        assert (config.samples, config.to_dict()["model"]["context"]) == (2 * windows, context)
        assert load_config("gpt-bpe", [f"model.size={size}"]).model.shape.context == context  # type: ignore[union-attr]


def test_a_column_may_be_called_anything_and_stays_a_text() -> None:
    strange = ('say "yes"', "1", "true", "a=b", "나이", "[x]", "back\\slash")
    for name in strange:
        data = data_of(columns=(*strange, "other"))
        config = config_of(form_of("predict-column"), {"target": name, "ignore": ["other"]}, data)
        assert config.to_dict()["data"]["target"] == name
        assert config.to_dict()["data"]["ignore"] == ["other"]


@pytest.mark.parametrize("form", forms(), ids=lambda form: form.key)
def test_a_bundled_set_is_tried_without_a_word_on_columns_or_sizes(form: RecipeForm) -> None:
    for known in form.known:
        data = FormData(known=known, items=1000)
        assert {knob.kind for knob in form.knobs_for(data)} <= {"whole", "choice"}
        config = config_of(form, {"passes": 2}, data)
        assert (config.dataset, config.data) == (known, None)
    other = next(each.known[0] for each in forms() if each is not form)
    assert list(problems_of(form.key, {}, FormData(known=other, items=1000))) == ["data"]


def test_everything_that_is_wrong_is_told_at_once_where_it_was_filled_in() -> None:
    values = {"passes": "many", "side": "65", "colour": "red"}
    assert sorted(problems_of("sort-pictures", values, data_of(path="", items=0))) == [
        "colour", "data", "passes", "side",
    ]  # fmt: skip
    found = problems_of("predict-column", {"ignore": ["agee"]}, data_of())
    assert found == {
        "target": "Which column to predict: none is chosen",
        "ignore": "the data has no column 'agee'",
    }


@pytest.mark.parametrize("value", ["0", "1001", "-5", "1e3", "٣", "3.5", "", "9" * 4000])
def test_a_number_of_passes_is_a_number_within_its_range(value: str) -> None:
    assert list(problems_of("sort-pictures", {"passes": value}, data_of())) == ["passes"]


def test_a_column_can_t_be_predicted_and_left_out() -> None:
    (what,) = problems_of("predict-column", {"target": "age", "ignore": ["age"]}, data_of()).values()
    assert "'age' is named in data.target as well" in what


@pytest.mark.parametrize("path", ["a\nb", "\x7f", "a\x00b"])
def test_a_place_with_control_characters_is_refused(path: str) -> None:
    assert list(problems_of("sort-pictures", {}, data_of(path=path))) == ["data"]


def test_a_form_that_is_not_there_is_refused_with_the_nearest() -> None:
    with pytest.raises(UserError, match="did you mean 'sort-pictures'"):
        form_of("sort-picture")


# -------------------------------------------------------------------------------------------- for real


def write_pictures(folder: Path) -> FormData:
    draw = np.random.default_rng(1)
    for name, brightness in (("dark", 40), ("light", 200)):
        (folder / name).mkdir(parents=True)
        for number in range(40):
            picture = draw.integers(brightness - 20, brightness + 20, (40, 40, 3), np.uint8)
            Image.fromarray(picture).save(folder / name / f"{number}.png")
    return FormData(path=str(folder), items=64)


def write_rows(folder: Path) -> FormData:
    draw = random.Random(1)
    folder.mkdir()
    rows = ["text,label,age,1"]
    for number in range(200):
        label = draw.choice(["cat", "dog"])
        text = " ".join(draw.choices({"cat": ["meow", "purr"], "dog": ["woof", "bark"]}[label], k=12))
        rows.append(f"{text} {number},{label},{draw.randint(1, 9)},{2 if label == 'cat' else 7}")
    (folder / "rows.csv").write_text("\n".join(rows) + "\n")
    return FormData(path=str(folder), items=160, columns=COLUMNS)


@pytest.mark.parametrize("form", forms(), ids=lambda form: form.key)
def test_what_a_form_leads_to_trains_on_data_of_one_s_own(
    form: RecipeForm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prepare_own, "references", lambda *arguments: {})  # seconds, and not ours
    monkeypatch.setenv("FLEETFORM_RUN_DIR", str(tmp_path / "run"))
    monkeypatch.setenv("FLEETFORM_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    data = write_pictures(tmp_path / "own") if form.data_kind == "pictures" else write_rows(tmp_path / "own")
    values = {**FILLED[form.key], "passes": 1, **({"ignore": ["text"]} if form.data_kind == "table" else {})}
    assert main([form.recipe, *overrides(form, values, data), "program=false", "device=cpu"]) == 0
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["samples"] == load_config(form.recipe, overrides(form, values, data)).samples
