"""Policy documents, read into statements that can be asked whether they apply to a request.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements.html
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sandbox.iam.conditions import Condition, parse_condition
from sandbox.iam.patterns import Context, arn_matches, matches
from sandbox.iam.principals import Element, Grant, Principal, grant_of, is_exempt, parse_element

_WITH_VARIABLES = "2012-10-17"
"""The version of the policy language that has variables."""


class PolicyError(ValueError):
    """The text is no policy."""


@dataclass(frozen=True)
class Statement:
    """One statement; an element that it lacks is None."""

    name: str
    """Its policy and its Sid or number."""
    is_deny: bool
    actions: tuple[str, ...] | None
    not_actions: tuple[str, ...] | None
    resources: tuple[str, ...] | None
    not_resources: tuple[str, ...] | None
    principals: Element | None
    not_principals: Element | None
    conditions: tuple[Condition, ...]

    def applies(self, action: str, resource: str, context: Context) -> bool:
        """Return whether action, resource and conditions fit; the principal is asked for by `grant`."""
        return (
            self._fits_action(action)
            and self._fits_resource(resource, context)
            and all(condition.holds(context) for condition in self.conditions)
        )

    def grant(self, principal: Principal) -> Grant:
        """Return how the statement names the principal; a policy of an identity names nobody else."""
        if self.principals is not None:
            return grant_of(self.principals, principal)
        if self.not_principals is not None:
            if self.is_deny:
                return Grant.NONE if is_exempt(self.not_principals, principal) else Grant.DIRECT
            return Grant.NONE if grant_of(self.not_principals, principal) else Grant.DIRECT
        return Grant.NONE

    def _fits_action(self, action: str) -> bool:
        if self.not_actions is not None:
            return not any(matches(each, action, ignore_case=True) for each in self.not_actions)
        return any(matches(each, action, ignore_case=True) for each in self.actions or ())

    def _fits_resource(self, resource: str, context: Context) -> bool:
        if self.not_resources is not None:
            return not any(arn_matches(each, resource, context) for each in self.not_resources)
        if self.resources is None:  # a trust policy: the role itself
            return True
        return any(arn_matches(each, resource, context) for each in self.resources)


@dataclass(frozen=True)
class Policy:
    """A policy document."""

    name: str
    statements: tuple[Statement, ...]


@lru_cache(maxsize=4096)
def parse_policy(text: str, name: str) -> Policy:
    """Return the policy of a JSON text; `name` says which one it is. Raises PolicyError."""
    try:
        document = json.loads(text)
    except ValueError as error:
        raise PolicyError(f"{name} is no JSON: {error}") from error
    if not isinstance(document, Mapping) or "Statement" not in document:
        raise PolicyError(f"{name} has no Statement")
    found = document["Statement"]
    listed = found if isinstance(found, list) else [found]
    if document.get("Version") != _WITH_VARIABLES:
        listed = json.loads(json.dumps(listed).replace("${", "${$}{"))  # `${$}` is the character itself
    return Policy(name, tuple(_statement(each, name, number) for number, each in enumerate(listed, 1)))


def _statement(given: Any, policy: str, number: int) -> Statement:
    """Return one statement of a document."""
    if not isinstance(given, Mapping) or given.get("Effect") not in ("Allow", "Deny"):
        raise PolicyError(f"{policy}: statement {number} has no Effect")
    if ("Action" in given) == ("NotAction" in given):
        raise PolicyError(f"{policy}: statement {number} needs either Action or NotAction")
    if "Resource" in given and "NotResource" in given:
        raise PolicyError(f"{policy}: statement {number} has both Resource and NotResource")
    try:
        conditions = tuple(
            parse_condition(operator, key, values)
            for operator, keys in (given.get("Condition") or {}).items()
            for key, values in keys.items()
        )
    except (ValueError, AttributeError) as error:
        raise PolicyError(f"{policy}: statement {number}: {error}") from error
    return Statement(
        name=f"{policy}: {given.get('Sid') or f'statement {number}'}",
        is_deny=given["Effect"] == "Deny",
        actions=_texts(given.get("Action")),
        not_actions=_texts(given.get("NotAction")),
        resources=_texts(given.get("Resource")),
        not_resources=_texts(given.get("NotResource")),
        principals=parse_element(given["Principal"]) if "Principal" in given else None,
        not_principals=parse_element(given["NotPrincipal"]) if "NotPrincipal" in given else None,
        conditions=conditions,
    )


def _texts(value: Any) -> tuple[str, ...] | None:
    if value is None:
        return None
    return tuple(map(str, value)) if isinstance(value, list) else (str(value),)
