"""How a setting is declared: no field of a spec without its meaning, its unit and what changing it does."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, cast, get_args

from pydantic import BaseModel, ConfigDict, Field, JsonValue
from pydantic.fields import FieldInfo

Change = Literal["free", "new machines only", "refused"]
"""What a change of the setting does to an environment that stands.

`free` takes effect with the next `fleetform up` and touches no machine that runs, unless the setting's own
reason says which; `new machines only` takes effect on machines started after it, while those that run stay as
they are; `refused` is not possible while the environment stands.
"""


class Spec(BaseModel):
    """Base of every table that a user writes: frozen, no unknown keys, no silent conversion of types."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


def setting(
    doc: str,
    *,
    unit: str,
    change: Change,
    why: str = "",
    form: str = "",
    **constraints: Any,
) -> Any:
    """Return the pydantic field of a setting, to stand inside `Annotated[...]`.

    `doc` says what it is, `unit` in what it is counted ("" for a thing without one), `change` what changing
    it does and `why` the reason where it is not obvious. `form` says in words what `constraints` (pydantic's
    own: ge, le, pattern, ...) ask of a text; a pattern without words for it is refused.
    """
    assert doc and (form or "pattern" not in constraints), "a setting says what it is and what form it has"
    extra: dict[str, JsonValue] = {"unit": unit, "change": change, "why": why, "form": form}
    return Field(description=doc, json_schema_extra=extra, **constraints)


@dataclass(frozen=True)
class FieldDoc:
    """What is documented of one setting."""

    path: str
    """Dotted path in the file; `NAME` stands for a name that the user chooses."""
    doc: str
    unit: str
    change: Change
    why: str
    form: str
    default: Any
    """Value when left out; None where the setting is required."""
    required: bool
    table: bool
    """Whether it is a table (or a table of tables) of further settings."""
    choices: tuple[str | int, ...] = ()
    """The only texts or numbers allowed; empty where there is no such list."""


def nested_spec(info: FieldInfo) -> tuple[type[Spec] | None, bool]:
    """Return the table type that a field holds (None for a plain value) and whether it holds them by name."""
    if isinstance(info.annotation, type) and issubclass(info.annotation, Spec):
        return info.annotation, False
    for argument in get_args(info.annotation):
        if isinstance(argument, type) and issubclass(argument, Spec):
            return argument, True
    return None, False


def field_doc(info: FieldInfo, path: str) -> FieldDoc:
    """Return what is documented of one field; a field that was not made by `setting` is our bug."""
    extra = info.json_schema_extra
    assert isinstance(extra, dict) and info.description, f"{path} is not declared through setting()"
    is_literal = getattr(info.annotation, "__origin__", None) is Literal
    return FieldDoc(
        path=path,
        doc=info.description,
        unit=str(extra["unit"]),
        change=cast(Change, extra["change"]),
        why=str(extra["why"]),
        form=str(extra["form"]),
        default=None if info.is_required() else info.get_default(call_default_factory=True),
        required=info.is_required(),
        table=nested_spec(info)[0] is not None,
        choices=tuple(get_args(info.annotation)) if is_literal else (),
    )


def documented(model: type[Spec], prefix: str = "") -> Iterator[FieldDoc]:
    """Walk every setting of a model and of the tables within it, tables before their contents."""
    for name, info in model.model_fields.items():
        path = f"{prefix}{name}"
        yield field_doc(info, path)
        nested, by_name = nested_spec(info)
        if nested is not None:
            yield from documented(nested, f"{path}.NAME." if by_name else f"{path}.")


def toml_literal(value: object) -> str:
    """Return a setting's value as TOML: texts (and networks) in quotes, numbers and dates without."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float | datetime.date):
        return str(value)
    if isinstance(value, tuple | list):
        return f"[{', '.join(toml_literal(item) for item in value)}]"
    return json.dumps(str(value), ensure_ascii=False)
