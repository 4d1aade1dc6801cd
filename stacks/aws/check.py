"""Arguments against the TypedDict that the provider's schema became: what is wrong, and what was meant."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import UnionType
from typing import Any, NotRequired, Required, Union, get_args, get_origin, is_typeddict

from stacks.problems import nearest


def problems_of(where: str, expected: Any, value: object) -> list[str]:
    """Return one sentence for each way in which `value` is not what the annotation `expected` describes.

    `where` is the address and path to print. The annotations understood are those that the generator writes:
    str, bool, numbers, unions of them, Sequence, Mapping and TypedDict, and any other class by isinstance.
    """
    return list(_problems(where, expected, value))


def _problems(where: str, expected: Any, value: object) -> Iterator[str]:
    origin = get_origin(expected)
    if origin in (Required, NotRequired):
        yield from _problems(where, get_args(expected)[0], value)
    elif is_typeddict(expected):
        yield from _object_problems(where, expected, value)
    elif origin in (Union, UnionType):
        if not any(_is_instance(value, option) for option in get_args(expected)):
            yield f"{where}: {value!r} is not {_name(expected)}"
    elif origin is Sequence:
        if isinstance(value, str) or not isinstance(value, Sequence):
            yield f"{where}: {value!r} is not a list"
            return
        for index, item in enumerate(value):
            yield from _problems(f"{where}[{index}]", get_args(expected)[0], item)
    elif origin is Mapping:
        if not isinstance(value, Mapping):
            yield f"{where}: {value!r} is not a map"
            return
        for key, item in value.items():
            yield from _problems(f"{where}[{key!r}]", get_args(expected)[1], item)
    elif not _is_instance(value, expected):
        yield f"{where}: {value!r} is not {_name(expected)}"


def _object_problems(where: str, expected: Any, value: object) -> Iterator[str]:
    if not isinstance(value, Mapping):
        yield f"{where}: {value!r} is not a block"
        return
    fields = expected.__annotations__
    for name in value:
        if name not in fields:
            near = nearest(str(name), fields)
            meant = f"; did you mean {near!r}?" if near else ""
            yield f"{where}: no argument is named {name!r}{meant} (valid: {', '.join(sorted(fields))})"
    for name in sorted(expected.__required_keys__ - value.keys()):
        yield f"{where}: the argument {name!r} is missing"
    for name, annotation in fields.items():
        if name in value:
            yield from _problems(f"{where}.{name}", annotation, value[name])


def _is_instance(value: object, expected: Any) -> bool:
    """Tell whether the value is of the class; a bool is no number, though Python's bool is an int."""
    if isinstance(value, bool):
        return expected is bool
    return isinstance(value, expected)


def _name(expected: Any) -> str:
    options = get_args(expected) or (expected,)
    return " or ".join(
        {"str": "text", "Ref": "a reference"}.get(option.__name__, option.__name__) for option in options
    )
