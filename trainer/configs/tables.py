"""Reads tables of settings into frozen dataclasses, strictly, and collects every mistake on the way."""

from __future__ import annotations

import dataclasses
import difflib
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

Table = dict[str, Any]

TEXTS = tuple[str, ...]
"""The one kind of list that a setting can be."""
_TYPE_NAMES: Mapping[Any, str] = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "a text",
    TEXTS: 'a list of texts (["a", "b"])',
}


def nearest_hint(name: str, candidates: Iterable[str]) -> str:
    """Return `; did you mean X?` for the candidate most like `name`, or the list of them where none is."""
    known = sorted(candidates)
    found = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return f"; did you mean {found[0]}?" if found else f"; known: {', '.join(known)}"


def parse_value(text: str) -> Any:
    """Return a command line's value: a TOML literal where it is one (`3`, `1e-3`, `true`), else the text."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def apply_overrides(table: Table, overrides: Sequence[str], problems: list[str]) -> Table:
    """Return a copy of the table with each `section.key=value` put in; a malformed one becomes a problem."""
    result: Table = {k: dict(v) if isinstance(v, dict) else v for k, v in table.items()}
    for override in overrides:
        path, equals, value = override.partition("=")
        *sections, key = path.strip().split(".")
        if not equals or not key or len(sections) > 1:
            problems.append(f"{override}: an override is written key=value or section.key=value")
            continue
        target: Any = result
        for section in sections:
            target = target.setdefault(section, {})
        if not isinstance(target, dict):
            problems.append(f"{override}: {sections[0]} is a value, it has no keys of its own")
            continue
        target[key] = parse_value(value.strip())
    return result


def read_values(
    kind: type[Any],
    table: Mapping[str, Any],
    problems: list[str],
    *,
    path: str = "",
    sections: Iterable[str] = (),
) -> Table:
    """Return the arguments that make the dataclass `kind` of the table; mistakes are added to `problems`.

    `path` is the table's own name with its dot (`model.`), "" at the top. `sections` are the fields that are
    tables of their own and that the caller reads. Unknown keys, wrong types and missing keys are mistakes.
    """
    hints = get_type_hints(kind)
    fields = {field.name: field for field in dataclasses.fields(kind) if field.name not in sections}
    values: Table = {}
    for key, value in table.items():
        if key in sections:
            if not isinstance(value, dict):
                problems.append(f"{path}{key}: is a table of keys, got {value!r}")
        elif key not in fields:
            hint = nearest_hint(path + key, [path + name for name in (*fields, *sections)])
            problems.append(f"{path}{key}: there is no such key{hint}")
        elif (fault := _type_fault(hints[key], value)) is not None:
            problems.append(f"{path}{key}: {fault}")
        else:
            values[key] = _as_declared(hints[key], value)
    for name, field in fields.items():
        if field.default is dataclasses.MISSING and name not in table:
            problems.append(f"{path}{name}: is required and missing")
    return values


def _type_fault(expected: Any, value: Any) -> str | None:
    """Return what is wrong with the value's type, or None."""
    choices = get_args(expected) if get_origin(expected) in (Union, UnionType) else (expected,)
    named = [str(each) for choice in choices if get_origin(choice) is Literal for each in get_args(choice)]
    if isinstance(value, str) and value in named:
        return None
    kinds = [choice for choice in choices if get_origin(choice) is not Literal]
    if any(_is_of(kind, value) for kind in kinds):
        return None
    if not kinds:
        return f"{value!r} is not one of {', '.join(named)}"
    wanted = " or ".join([*(_TYPE_NAMES[kind] for kind in kinds), *named])
    return f"expected {wanted}, got {value!r}"


def _as_declared(kind: Any, value: Any) -> Any:
    if kind is float:
        return float(value)
    return tuple(value) if kind == TEXTS else value


def _is_of(kind: Any, value: Any) -> bool:
    if kind == TEXTS:
        return isinstance(value, list) and all(isinstance(each, str) for each in value)
    accepted: tuple[type, ...] = (int, float) if kind is float else (kind,)
    # bool is an int to Python, but `samples = true` is a mistake.
    return isinstance(value, accepted) and (kind is bool or not isinstance(value, bool))
