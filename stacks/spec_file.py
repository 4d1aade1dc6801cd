"""From a TOML file to a spec: every mistake becomes a Problem in plain words, all of them at once."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import ValidationError

from stacks.fields import Spec, field_doc, nested_spec, toml_literal
from stacks.problems import Problem, UserError, nearest

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

    from stacks.fields import FieldDoc

S = TypeVar("S", bound=Spec)

_KINDS: dict[str, str] = {
    "int_type": "a whole number, without quotes",
    "bool_type": "true or false, without quotes",
    "float_type": "a number, without quotes",
    "tuple_type": "a list in square brackets",
    "string_type": "a text in quotes",
    "date_type": "a date without quotes, such as 2026-12-31",
    "dict_type": "a table of settings",
    "model_type": "a table of settings",
    "is_instance_of": "a text in quotes",
}
"""pydantic's error type -> the kind of value that stands in TOML where that error would not arise."""
_TOML_KINDS: dict[str, str] = {
    "str": "the text",
    "int": "the number",
    "float": "the number",
    "bool": "the truth value",
    "list": "the list",
    "dict": "the table",
    "date": "the date",
    "datetime": "the date with a time",
}


def load_spec(model: type[S], file: Path) -> S:
    """Read the file as the given spec. Raises UserError with every problem of this file."""
    return build_spec(model, read_toml(file), file)


def read_toml(file: Path) -> dict[str, Any]:
    """Return the file's tables. Raises UserError where it is missing or not TOML (with the line)."""
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError.of(
            "there is no such file", "write it with `fleetform init NAME`", file=shown(file)
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise UserError.of(
            f"the file cannot be read ({error})", "make it readable text (UTF-8)", file=shown(file)
        ) from error
    except tomllib.TOMLDecodeError as error:
        what, _, where = str(error).rstrip(")").rpartition(" (at ")
        raise UserError.of(
            f"this is not TOML: {what[:1].lower()}{what[1:]}",
            "correct the line; texts stand in quotes, dates and numbers do not",
            file=shown(file),
            path=where,
        ) from error


def build_spec(model: type[S], data: Mapping[str, Any], file: Path) -> S:
    """Make the spec of tables that were read from `file`. Raises UserError with every problem."""
    try:
        return model.model_validate(dict(data))
    except ValidationError as error:
        details = error.errors(include_url=False)
        misspelt = {_meant(model, item["loc"]) for item in details if item["type"] == "extra_forbidden"}
        # A misspelt key is one mistake, not a wrong key and a missing one.
        real = [item for item in details if item["type"] != "missing" or item["loc"] not in misspelt]
        raise UserError([_problem(model, item, shown(file)) for item in real]) from error


def shown(file: Path) -> str:
    """Return the file's path as a message gives it: from the current folder where it lies below that."""
    here = Path.cwd()
    return str(file.relative_to(here) if file.is_relative_to(here) else file)


def _meant(model: type[Spec], location: tuple[int | str, ...]) -> tuple[int | str, ...] | None:
    """Return the location of the setting that an unknown key was most likely meant to be."""
    owner = _find_model(model, [str(part) for part in location[:-1]])
    near = nearest(str(location[-1]), owner.model_fields) if owner else None
    return (*location[:-1], near) if near else None


def _problem(model: type[Spec], error: ErrorDetails, file: str) -> Problem:
    names = [str(part) for part in error["loc"]]
    path = ".".join(names).removesuffix(".[key]")
    if error["type"] == "extra_forbidden":
        what, do = _unknown_key(model, names)
    elif (doc := _find_doc(model, names)) is None:
        what, do = "this is not accepted here", "see docs/environment.md for the settings that are"
    elif error["type"] == "missing":
        kind = "table" if doc.table else "setting"
        what, do = f"this {kind} is missing", f"add it. {_meaning(doc)}"
    else:
        what, do = _wrong_value(error, doc)
    return Problem(what=what, do=do, file=file, path=path)


def _unknown_key(model: type[Spec], names: list[str]) -> tuple[str, str]:
    owner = _find_model(model, names[:-1])
    known = list(owner.model_fields) if owner else []
    near = nearest(names[-1], known)
    if near:
        return f"there is no setting {names[-1]!r}", f"did you mean `{near}`?"
    return f"there is no setting {names[-1]!r}", f"take it out; known here: {', '.join(known)}"


def _wrong_value(error: ErrorDetails, doc: FieldDoc) -> tuple[str, str]:
    value, kind, context = error["input"], error["type"], error.get("ctx", {})
    shown = f"{_TOML_KINDS.get(type(value).__name__, 'the value')} {value!r}"
    if kind in _KINDS:
        wanted = _KINDS[kind]
        return f"this is {shown}", f"write {wanted}. {_meaning(doc)}"
    if kind == "greater_than_equal":
        return f"{value} is too small", f"take at least {context['ge']} {doc.unit}".rstrip()
    if kind == "less_than_equal":
        return f"{value} is too large", f"take at most {context['le']} {doc.unit}".rstrip()
    if kind == "string_pattern_mismatch":
        return f"{value!r} does not have the right form", f"write {doc.form}"
    if kind == "literal_error":
        near = nearest(value, [str(choice) for choice in doc.choices]) if isinstance(value, str) else None
        allowed = " or ".join(toml_literal(choice) for choice in doc.choices)
        return f"{value!r} is not a choice here", f"write {allowed or doc.form}" + (
            f"; did you mean {near!r}?" if near else ""
        )
    if kind == "too_long":
        return f"{context['actual_length']} are too many", f"name at most {context['max_length']}"
    if kind == "value_error":
        return str(context["error"]), _meaning(doc)
    return f"{shown} is not accepted here", _meaning(doc)


def _meaning(doc: FieldDoc) -> str:
    """Say what the setting is, as the hint on how to write it."""
    name = doc.path.rpartition(".")[2]
    return f"`{name}`: {doc.doc}"


def _find_model(model: type[Spec], names: list[str]) -> type[Spec] | None:
    """Return the table type that the path leads to; a name of a user's choosing may stand in it."""
    current: type[Spec] | None = model
    rest = list(names)
    while rest and current is not None:
        info = current.model_fields.get(rest.pop(0))
        if info is None:
            return None
        current, by_name = nested_spec(info)
        if by_name:
            if not rest:
                return None
            rest.pop(0)
    return current


def _find_doc(model: type[Spec], names: list[str]) -> FieldDoc | None:
    """Return what is documented of the setting at the path, or None where the path leads to none."""
    for depth in range(len(names), 0, -1):
        owner = _find_model(model, names[: depth - 1])
        if owner is not None and names[depth - 1] in owner.model_fields:
            return field_doc(owner.model_fields[names[depth - 1]], ".".join(names[:depth]))
    return None
