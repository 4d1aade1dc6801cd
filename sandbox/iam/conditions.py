"""The Condition element of a policy: operators over the keys of a request.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html and, for
keys with several values, .../reference_policies_condition-single-vs-multi-valued-context-keys.html
"""

from __future__ import annotations

import ipaddress
import operator
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from sandbox.iam.patterns import Context, arn_matches, fill, matches

_ANY, _ALL = "ForAnyValue:", "ForAllValues:"
_IF_EXISTS = "IfExists"

Compare = Callable[[str, str, Context], bool]
"""Policy's value, request's value, context of the variables: whether they fit."""


class ConditionError(ValueError):
    """The condition names an operator that IAM does not have."""


@dataclass(frozen=True)
class Condition:
    """One operator on one key."""

    operator: str
    """Without quantifier and suffix."""
    key: str
    """In lower case."""
    values: tuple[str, ...]
    quantifier: str = ""
    if_exists: bool = False

    def holds(self, context: Context) -> bool:
        """Return whether the request meets the condition."""
        given = context.get(self.key)
        if self.operator == "Null":
            return any((value.lower() == "true") == (given is None) for value in self.values)
        negated = self.operator in _NEGATED
        compare = _OPERATORS[_NEGATED.get(self.operator, self.operator)]
        if not given:
            if self.quantifier:
                return self.quantifier == _ALL or self.if_exists
            return self.if_exists or negated

        def fits(value: str) -> bool:
            found = any(compare(wanted, value, context) for wanted in self.values)
            return not found if negated else found

        if self.quantifier == _ALL or (negated and not self.quantifier):
            return all(fits(value) for value in given)
        return any(fits(value) for value in given)


def parse_condition(name: str, key: str, values: object) -> Condition:
    """Return the condition of an operator's name, a key and its value or values; raises ConditionError."""
    quantifier = next((each for each in (_ANY, _ALL) if name.startswith(each)), "")
    bare = name.removeprefix(quantifier)
    if_exists = bare.endswith(_IF_EXISTS)
    bare = bare.removesuffix(_IF_EXISTS)
    if bare not in _OPERATORS and bare not in _NEGATED and (bare != "Null" or if_exists or quantifier):
        raise ConditionError(f"there is no condition operator {name}")
    listed = values if isinstance(values, list) else [values]
    texts = tuple(str(each).lower() if isinstance(each, bool) else str(each) for each in listed)
    return Condition(bare, key.lower(), texts, quantifier, if_exists)


def _equals(wanted: str, value: str, context: Context) -> bool:
    return fill(wanted, context) == value


def _equals_ignoring_case(wanted: str, value: str, context: Context) -> bool:
    filled = fill(wanted, context)
    return filled is not None and filled.lower() == value.lower()


def _like(wanted: str, value: str, context: Context) -> bool:
    return matches(wanted, value, context)


def _arn_like(wanted: str, value: str, context: Context) -> bool:
    return arn_matches(wanted, value, context)


def _bool(wanted: str, value: str, _: Context) -> bool:
    return wanted.lower() == value.lower() and value.lower() in ("true", "false")


def _ip_address(wanted: str, value: str, _: Context) -> bool:
    try:
        return ipaddress.ip_address(value) in ipaddress.ip_network(wanted, strict=False)
    except ValueError:
        return False


def _numeric(compare: Callable[[float, float], bool]) -> Compare:
    def numbers(wanted: str, value: str, _: Context) -> bool:
        try:
            return compare(float(value), float(wanted))
        except ValueError:
            return False

    return numbers


def _date(compare: Callable[[datetime, datetime], bool]) -> Compare:
    def dates(wanted: str, value: str, _: Context) -> bool:
        try:
            return compare(_moment(value), _moment(wanted))
        except ValueError:
            return False

    return dates


def _moment(text: str) -> datetime:
    """Return a date in ISO 8601 or in seconds since the epoch; raises ValueError."""
    if text.replace(".", "", 1).isdigit() and "-" not in text:
        return datetime.fromtimestamp(float(text), UTC)
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


_COMPARISONS = {
    "Equals": operator.eq,
    "LessThan": operator.lt,
    "LessThanEquals": operator.le,
    "GreaterThan": operator.gt,
    "GreaterThanEquals": operator.ge,
}
_OPERATORS: dict[str, Compare] = {
    "StringEquals": _equals,
    "StringEqualsIgnoreCase": _equals_ignoring_case,
    "StringLike": _like,
    "ArnEquals": _arn_like,
    "ArnLike": _arn_like,
    "Bool": _bool,
    "BinaryEquals": _equals,
    "IpAddress": _ip_address,
    **{f"Numeric{name}": _numeric(compare) for name, compare in _COMPARISONS.items()},
    **{f"Date{name}": _date(compare) for name, compare in _COMPARISONS.items()},
}
_NEGATED = {
    "StringNotEquals": "StringEquals",
    "StringNotEqualsIgnoreCase": "StringEqualsIgnoreCase",
    "StringNotLike": "StringLike",
    "ArnNotEquals": "ArnEquals",
    "ArnNotLike": "ArnLike",
    "NotIpAddress": "IpAddress",
    "NumericNotEquals": "NumericEquals",
    "DateNotEquals": "DateEquals",
}
"""Operators that hold where the other one does not."""
