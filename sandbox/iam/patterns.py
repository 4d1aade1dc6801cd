"""Wildcards and policy variables in the elements of a policy, as the IAM user guide describes them.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache

Context = Mapping[str, Sequence[str]]
"""A request's condition keys, in lower case, with their values; a key that is absent is not in it."""

_VARIABLE = re.compile(r"\$\{([^}]*)\}")
_LITERALS = {"*": "*", "?": "?", "$": "$"}
"""`${*}`, `${?}` and `${$}` stand for the characters themselves."""
_DEFAULT = re.compile(r"\s*([^,\s]+)\s*,\s*'([^']*)'\s*")

ARN_PARTS = 6


def fill(text: str, context: Context) -> str | None:
    """Return the text with its variables replaced; None where one has neither a value nor a default."""
    if "${" not in text:
        return text
    pieces = [piece if literal else _value(piece, context) for piece, literal in _pieces(text)]
    return None if None in pieces else "".join(piece for piece in pieces if piece is not None)


def matches(pattern: str, value: str, context: Context | None = None, *, ignore_case: bool = False) -> bool:
    """Return whether the value fits the pattern: `*` any text, `?` one character, variables by their value.

    A wildcard that comes from a variable's value stands for itself. Without a context `${` means nothing.
    """
    if context is None or "${" not in pattern:
        return _compiled(_translated(pattern), ignore_case).fullmatch(value) is not None
    expression = []
    for piece, literal in _pieces(pattern):
        if literal:
            expression.append(_translated(piece))
            continue
        found = _value(piece, context)
        if found is None:
            return False
        expression.append(re.escape(found))
    return _compiled("".join(expression), ignore_case).fullmatch(value) is not None


def arn_matches(pattern: str, arn: str, context: Context | None = None) -> bool:
    """Return whether an ARN fits the pattern, each of its six parts for itself; the last takes the rest.

    A pattern that is no ARN's fits what is no ARN, and `*` everything.
    """
    if pattern == "*":
        return True
    parts, wanted = arn.split(":", ARN_PARTS - 1), _split(pattern)
    if len(parts) != ARN_PARTS:
        return matches(pattern, arn, context)
    return len(wanted) == ARN_PARTS and all(
        matches(part, value, context) for part, value in zip(wanted, parts, strict=True)
    )


def _split(pattern: str) -> list[str]:
    """Return the parts of an ARN's pattern; the colons inside of variables separate nothing."""
    hidden = _VARIABLE.sub(lambda found: found.group(0).replace(":", "\0"), pattern)
    return [part.replace("\0", ":") for part in hidden.split(":", ARN_PARTS - 1)]


def _pieces(text: str) -> list[tuple[str, bool]]:
    """Return the text cut at its variables: (literal text, True) and (inside of a variable, False)."""
    cut = _VARIABLE.split(text)
    return [(piece, number % 2 == 0) for number, piece in enumerate(cut)]


def _value(inside: str, context: Context) -> str | None:
    """Return a variable's value, or its default; None for one that is absent or has several values."""
    if inside in _LITERALS:
        return _LITERALS[inside]
    default = None
    if given := _DEFAULT.fullmatch(inside):
        inside, default = given.groups()
    values = context.get(inside.strip().lower())
    return values[0] if values is not None and len(values) == 1 else default


@lru_cache(maxsize=8192)
def _translated(pattern: str) -> str:
    return "".join({"*": ".*", "?": "."}.get(character) or re.escape(character) for character in pattern)


@lru_cache(maxsize=8192)
def _compiled(expression: str, ignore_case: bool) -> re.Pattern[str]:
    return re.compile(expression, re.DOTALL | (re.IGNORECASE if ignore_case else 0))
