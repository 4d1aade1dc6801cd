"""What a model wants to know, read from its config.json: a form for people, before anything is loaded."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from stacks.problems import UserError

_PICTURES = ("digits_cnn", "resnet", "vit")
_DRAWN = ("gpt", "lora")


@dataclass(frozen=True, kw_only=True)
class TryField:
    """One thing to fill in; what is left empty counts as missing, as it does in training."""

    name: str
    kind: Literal["picture", "text", "number", "choice"]
    required: bool = False
    choices: tuple[str, ...] = ()
    low: float | None = None
    """Of a number: the smallest that training has seen, or that is taken."""
    high: float | None = None
    example: str = ""
    """What it may look like; a number's mean."""
    whole: bool = False
    """Whether it is to be a whole number."""


def try_form(config: Mapping[str, Any]) -> tuple[TryField, ...]:
    """Return the fields of one input of a model by its config.json; raises UserError of an unknown kind."""
    kind = config.get("model", {}).get("kind")
    if kind in _PICTURES:
        return (TryField(name="picture", kind="picture", required=True),)
    if kind == "mlp":
        return tuple(map(_column, config["about"]["columns"]))
    if kind == "text_classifier":
        return (TryField(name="text", kind="text", required=True),)
    if kind in _DRAWN:
        return (
            TryField(name="prompt", kind="text", required=True),
            TryField(name="length", kind="number", whole=True, low=1, high=10_000, example="100"),
            TryField(name="temperature", kind="number", low=0, high=5, example="0.8"),
            TryField(name="seed", kind="number", whole=True, low=0, high=2**63 - 1, example="1"),
        )
    raise UserError.of(f"a model of the kind {kind!r} can't be tried here", "take it home, and try it there")


def input_of(fields: tuple[TryField, ...], given: Mapping[str, str | bytes]) -> Any:
    """Return an input as `fleet.tries` takes it from what was filled in: texts, and a picture's bytes.

    Raises UserError where something that is required is missing, or a number is none.
    """
    filled: dict[str, Any] = {}
    for field in fields:
        value = given.get(field.name, "")
        if isinstance(value, bytes):
            filled[field.name] = base64.b64encode(value).decode()
        elif value.strip() or (value and field.kind == "text"):
            filled[field.name] = _number(field, value) if field.whole or _is_drawn(fields, field) else value
        if field.required and not filled.get(field.name):
            raise UserError.of(f"{field.name} is empty", "fill it in", path=field.name)
    if not filled:
        raise UserError.of("nothing is filled in", "fill in at least one field")
    return filled


def _is_drawn(fields: tuple[TryField, ...], field: TryField) -> bool:
    """Return whether it is a number of how to draw; a table's cells stay texts, read as in training."""
    return field.kind == "number" and fields[0].name == "prompt"


def _number(field: TryField, text: str) -> float:
    try:
        return int(text) if field.whole else float(text)
    except ValueError:
        wanted = "whole number" if field.whole else "number"
        raise UserError.of(f"{text!r} is no {wanted}", "write one", path=field.name) from None


def _column(column: Mapping[str, Any]) -> TryField:
    if column["kind"] == "category":
        return TryField(name=column["name"], kind="choice", choices=tuple(column["values"]))
    low, high = float(column["min"]), float(column["max"])
    return TryField(name=column["name"], kind="number", low=low, high=high, example=f"{column['mean']:.4g}")
