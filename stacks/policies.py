"""IAM policy documents as JSON text, the same text for the same policy."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

KEY_USE = ("kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey*", "kms:ReEncrypt*")
"""What a service does with a key that it encrypts with for somebody."""


def statement(
    name: str,
    *,
    actions: Sequence[str],
    resources: Sequence[str] = (),
    other_than: Sequence[str] = (),
    effect: str = "Allow",
    principal: str | Mapping[str, str | Sequence[str]] | None = None,
    conditions: Mapping[str, Mapping[str, str | Sequence[str]]] | None = None,
) -> dict[str, Any]:
    """Return one statement; `conditions` are operator -> key -> value, or values of which one must match.

    It is about `resources`, or about all resources `other_than` these.
    """
    made: dict[str, Any] = {"Sid": name, "Effect": effect, "Action": _one_or_many(actions)}
    if resources:
        made["Resource"] = _one_or_many(resources)
    if other_than:
        made["NotResource"] = _one_or_many(other_than)
    if principal is not None:
        made["Principal"] = principal if isinstance(principal, str) else dict(principal)
    if conditions:
        made["Condition"] = {
            operator: {
                key: value if isinstance(value, str) else _one_or_many(value) for key, value in values.items()
            }
            for operator, values in conditions.items()
        }
    return made


def policy(*statements: Mapping[str, Any]) -> str:
    """Return the document of these statements."""
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)}, separators=(",", ":"))


def variable(key: str, default: str = "") -> str:
    """Return the policy variable that stands for a condition key, escaped: Terraform leaves it to IAM.

    Without a default, a statement whose key is absent does not apply.
    """
    return f"$${{{key}, '{default}'}}" if default else f"$${{{key}}}"


def as_iam_reads(text: str) -> str:
    """Return a policy of the stacks as IAM gets it from Terraform: for those given to it over the API."""
    return text.replace("$${", "${")


def _one_or_many(values: Sequence[str]) -> str | list[str]:
    """Return a single value bare, as IAM gives it back; a list of one would show as a difference."""
    return values[0] if len(values) == 1 else list(values)
