"""IAM policy documents as JSON text, the same text for the same policy."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any


def statement(
    name: str,
    *,
    actions: Sequence[str],
    resources: Sequence[str] = (),
    effect: str = "Allow",
    principal: str | Mapping[str, str] | None = None,
    conditions: Mapping[str, Mapping[str, str]] | None = None,
) -> dict[str, Any]:
    """Return one statement; `conditions` are operator -> key -> value."""
    made: dict[str, Any] = {"Sid": name, "Effect": effect, "Action": _one_or_many(actions)}
    if resources:
        made["Resource"] = _one_or_many(resources)
    if principal is not None:
        made["Principal"] = principal if isinstance(principal, str) else dict(principal)
    if conditions:
        made["Condition"] = {operator: dict(values) for operator, values in conditions.items()}
    return made


def policy(*statements: Mapping[str, Any]) -> str:
    """Return the document of these statements."""
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)}, separators=(",", ":"))


def _one_or_many(values: Sequence[str]) -> str | list[str]:
    """Return a single value bare, as IAM gives it back; a list of one would show as a difference."""
    return values[0] if len(values) == 1 else list(values)
