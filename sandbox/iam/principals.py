"""Who makes a request, and whether the Principal element of a resource's policy names them.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum


class Grant(IntEnum):
    """How directly a policy names the principal: it decides which other policies can still limit it."""

    NONE = 0
    ACCOUNT = 1
    """By its account, which hands the decision to the account's own policies."""
    ROLE = 2
    """By its role: permission boundary and session policies still limit it."""
    DIRECT = 3
    """Itself (a user, a session, a service), or everybody: only an explicit deny limits it."""


@dataclass(frozen=True, kw_only=True)
class Principal:
    """Who makes the request."""

    arn: str
    """The user, the assumed role's session, the root user; "" for a service and for nobody."""
    account: str
    partition: str = "aws"
    role_arn: str = ""
    """The role of a session, "" for everybody else."""
    service: str = ""
    """`lambda.amazonaws.com` for a service that acts for itself."""
    is_root: bool = False

    @property
    def is_anonymous(self) -> bool:
        """Whether the request is not signed."""
        return not self.arn and not self.service

    @property
    def root_arn(self) -> str:
        """The ARN by which a policy names the whole account."""
        return f"arn:{self.partition}:iam::{self.account}:root"

    @property
    def names(self) -> frozenset[str]:
        """Every ARN that stands for the principal, its account's included."""
        return frozenset(filter(None, (self.root_arn, self.role_arn, self.arn)))


Element = Mapping[str, Sequence[str]]
"""A Principal element as a mapping of kind (`AWS`, `Service`, `*`) to names; the bare `*` is {"*": ["*"]}."""


def parse_element(given: object) -> Element:
    """Return a Principal or NotPrincipal element in one shape."""
    if isinstance(given, Mapping):
        return {str(kind): _listed(names) for kind, names in given.items()}
    return {"*" if each == "*" else "AWS": [each] for each in _listed(given)}


def grant_of(element: Element, principal: Principal) -> Grant:
    """Return how the element names the principal."""
    return max(
        (_grant(kind, name, principal) for kind in element for name in element[kind]), default=Grant.NONE
    )


def is_exempt(element: Element, principal: Principal) -> bool:
    """Return whether a NotPrincipal element leaves the principal out.

    With Deny, IAM wants the account, the role and the session to be named, each by its ARN.
    """
    if principal.service:
        return grant_of(element, principal) is Grant.DIRECT
    named = {_as_arn(name, principal.partition) for name in element.get("AWS", ())}
    return not principal.is_anonymous and principal.names <= named


def _grant(kind: str, name: str, principal: Principal) -> Grant:
    """Return how one name of the element names the principal."""
    if kind == "*":
        return Grant.DIRECT
    if kind == "Service":
        return Grant.DIRECT if principal.service and name in ("*", principal.service) else Grant.NONE
    if kind != "AWS" or principal.service:
        return Grant.NONE
    if name == "*":
        return Grant.DIRECT
    arn = _as_arn(name, principal.partition)
    if principal.is_anonymous:
        return Grant.NONE
    if arn == principal.arn:
        return Grant.DIRECT
    if arn == principal.role_arn:
        return Grant.ROLE
    return Grant.ACCOUNT if arn == principal.root_arn else Grant.NONE


def _as_arn(name: str, partition: str) -> str:
    """Return an account's number as the ARN that means the same."""
    return f"arn:{partition}:iam::{name}:root" if name.isdigit() else name


def _listed(value: object) -> list[str]:
    return [str(each) for each in value] if isinstance(value, list) else [str(value)]
