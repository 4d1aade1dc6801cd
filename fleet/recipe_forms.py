"""Recipes for people who write no settings: a form that is filled in becomes a recipe and its `key=value`s.

Those are what `fleetform run --recipe` takes. What a form leaves out stays as the recipe has it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence

from fleet.recipe_knobs import Choice, FormData, Knob, RecipeForm
from fleet.recipe_wants import WANTS
from stacks.problems import Problem, UserError, nearest
from trainer.config import ConfigError, load_config

Values = Mapping[str, str | int | Sequence[str]]
"""What was filled in, by the knobs' keys; numbers may be text, as a browser sends them."""
_LARGEST_BATCH, _SMALLEST_BATCH = 128, 8
_STEPS_A_PASS = 8
"""With fewer steps to a pass a small data set would hardly be learned from, so its batches are smaller."""


def forms() -> tuple[RecipeForm, ...]:
    """Return every form, in the order in which people are asked."""
    return WANTS


def form_of(key: str) -> RecipeForm:
    """Return the form of that key; raises UserError where there is none."""
    for form in WANTS:
        if form.key == key:
            return form
    known = [form.key for form in WANTS]
    near = nearest(key, known)
    do = f"did you mean {near!r}?" if near else f"choose one of {', '.join(known)}"
    raise UserError.of(f"there is no form {key!r}", do, path="want")


def overrides(form: RecipeForm, values: Values, data: FormData, processes: int = 1) -> tuple[str, ...]:
    """Return the settings of the form's recipe for that data, defaults for what `values` leaves out.

    Each step has a sample at least for each of so many processes, as the trainer wants it.
    Raises UserError with everything that is wrong with the values, each at its knob's key, and with what the
    recipe finds wrong with all of them together.
    """
    knobs = form.knobs_for(data)
    filled = {knob.key: values.get(knob.key, knob.default) for knob in knobs}
    problems = [*_unknown(form, knobs, values), *_data_problems(form, data)]
    for knob in knobs:
        problems += _knob_problems(knob, filled[knob.key], data)
    if problems:
        raise UserError(problems)
    chosen = [each for knob in knobs for each in _settings(knob, filled[knob.key])]
    found = (*_data_settings(form, data), *chosen, *_length(knobs, filled, data, processes))
    try:
        load_config(form.recipe, found)
    except ConfigError as error:
        do = "choose otherwise"
        raise UserError(Problem(what=what, do=do, path=form.key) for what in error.problems) from None
    return found


def _data_settings(form: RecipeForm, data: FormData) -> tuple[str, ...]:
    """Return what leads the recipe to the data, and what the form always sets."""
    if data.known:
        always = (each for each in form.settings if not each.startswith("data."))
        return (f"dataset={data.known}", *always)
    return ("dataset=", *form.settings, f"data.path={_literal(data.path)}")


def _unknown(form: RecipeForm, knobs: Sequence[Knob], values: Values) -> Iterator[Problem]:
    for key in values:
        if key not in {knob.key for knob in knobs}:
            yield Problem(what=f"{form.title!r} has no knob {key!r}", do="leave it out", path=key)


def _data_problems(form: RecipeForm, data: FormData) -> Iterator[Problem]:
    if data.known:
        if data.known not in form.known:
            do = f"choose one of {', '.join(form.known)}"
            yield Problem(what=f"{form.title!r} has no set {data.known!r}", do=do, path="data")
    elif not data.path or not data.path.isprintable():
        yield Problem(what=f"{data.path!r} is no place", do="name a file, a folder or s3://...", path="data")
    if data.items < 1:
        yield Problem(what=f"there are no {form.items} to train on", do="choose other data", path="data")


def _knob_problems(knob: Knob, value: str | int | Sequence[str], data: FormData) -> Iterator[Problem]:
    """Yield what is wrong with one knob's value."""
    if knob.kind == "whole":
        number = _whole(value)
        if number is None or not knob.low <= number <= knob.high:
            do = f"take a whole number from {knob.low} to {knob.high}"
            yield Problem(what=f"{value!r} is not possible", do=do, path=knob.key)
    elif knob.kind == "choice":
        if value not in [choice.value for choice in knob.choices]:
            do = f"choose one of {', '.join(choice.value for choice in knob.choices)}"
            yield Problem(what=f"{value!r} is not a choice", do=do, path=knob.key)
    else:
        named = _columns(knob, value)
        if knob.required and not named:
            yield Problem(what=f"{knob.label}: none is chosen", do=_one_of(data.columns), path=knob.key)
        for column in named:
            if column not in data.columns:
                near = nearest(column, data.columns)
                do = f"did you mean {near!r}?" if near else _one_of(data.columns)
                yield Problem(what=f"the data has no column {column!r}", do=do, path=knob.key)


def _one_of(columns: Sequence[str]) -> str:
    return f"choose one of {', '.join(columns)}" if columns else "leave it out: the data has no columns"


def _whole(value: str | int | Sequence[str]) -> int | None:
    """Return a whole number that may be text; ASCII digits alone, as int() takes much more for one."""
    text = str(value).strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def _columns(knob: Knob, value: str | int | Sequence[str]) -> list[str]:
    """Return the columns that are named, none for an empty text."""
    if isinstance(value, str | int) or knob.kind == "column":
        return [str(value)] if value != "" else []
    return list(dict.fromkeys(value))


def _settings(knob: Knob, value: str | int | Sequence[str]) -> Iterator[str]:
    """Yield what a knob's value sets; the number of passes goes into the length, with the data's size."""
    if knob.kind == "choice":
        yield from _choice(knob, value).settings
    elif knob.setting and (named := _columns(knob, value)):
        text = ", ".join(_literal(each) for each in named)
        yield f"{knob.setting}={text if knob.kind == 'column' else f'[{text}]'}"


def _choice(knob: Knob, value: object) -> Choice:
    return next(choice for choice in knob.choices if choice.value == value)


def _length(knobs: Sequence[Knob], filled: Values, data: FormData, processes: int) -> tuple[str, str]:
    """Return how many samples are trained on, and how many make a step."""
    passes, tokens = 1, 1
    for knob in knobs:
        if knob.key == "passes":
            passes = _whole(filled[knob.key]) or 1
        elif knob.kind == "choice":
            tokens = _choice(knob, filled[knob.key]).tokens or tokens
    samples = max(1, data.items // tokens)
    batch = _SMALLEST_BATCH
    while 2 * batch <= min(_LARGEST_BATCH, samples / _STEPS_A_PASS):
        batch *= 2
    while batch < processes:
        batch *= 2
    whole = passes * samples
    if 0 < whole % batch < processes:  # the last step would leave a process without a sample
        whole = whole - whole % batch or batch
    return f"samples={whole}", f"global_batch={batch}"


def _literal(text: str) -> str:
    """Return a text as a TOML literal, so that one that looks like a number stays a text."""
    return json.dumps(text, ensure_ascii=False)
