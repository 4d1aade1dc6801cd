"""The decision over one action on one resource, from every policy that has a say in it.

From the IAM user guide, https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
with its rules for what limits a grant by a resource's policy; the reasons are worded as in "Troubleshoot
access denied error messages" there.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from sandbox.iam.patterns import Context
from sandbox.iam.policy import Policy, Statement
from sandbox.iam.principals import Grant, Principal

_IDENTITY, _RESOURCE = "an identity-based policy", "a resource-based policy"
_BOUNDARY, _SESSION = "a permissions boundary", "a session policy"


@dataclass(frozen=True, kw_only=True)
class Policies:
    """The policies of a principal; a limit that it does not have is None, which is not the empty one."""

    identity: tuple[Policy, ...] = ()
    boundary: tuple[Policy, ...] | None = None
    session: tuple[Policy, ...] | None = None


@dataclass(frozen=True, kw_only=True)
class Access:
    """What is asked: may the principal do this action on this resource?"""

    principal: Principal
    action: str
    resource: str
    """The resource's ARN, or `*` for an action that knows none."""
    context: Context = field(default_factory=dict)
    resource_policy: Policy | None = None
    resource_account: str = ""
    """The account that the resource is in, "" for the principal's own."""
    only_resource_policy: bool = False
    """Whether the resource's policy must allow it, or hand it to the account: keys and roles."""


@dataclass(frozen=True)
class Decision:
    """The answer and its reason."""

    allowed: bool
    reason: str
    """`because no identity-based policy allows the s3:GetObject action`; for a yes the kind of policy."""
    statement: str
    """The statement that decided, "" where none did."""


def decide(access: Access, policies: Policies) -> Decision:
    """Return whether the access is allowed: explicit deny first, then what the kinds of policies allow."""
    if denied := _denial(access, policies):
        return denied
    grant, granting = _grant(access)
    principal = access.principal
    if principal.is_root and (grant or not access.only_resource_policy):
        return Decision(True, "the root user", granting)
    crosses = access.resource_account not in ("", principal.account)
    if not grant and (access.only_resource_policy or crosses or not principal.arn):
        return _implicit(access, "resource-based policy")
    if grant is Grant.DIRECT and not crosses:
        return Decision(True, _RESOURCE, granting)
    for allowing, kind in ((policies.boundary, "permissions boundary"), (policies.session, "session policy")):
        if allowing is not None and _first(access, allowing, deny=False) is None:
            return _implicit(access, kind)
    if grant is Grant.ROLE and not crosses:
        return Decision(True, _RESOURCE, granting)
    found = _first(access, policies.identity, deny=False)
    if found is None:
        return _implicit(access, "identity-based policy")
    return Decision(True, _IDENTITY, found.name)


def _denial(access: Access, policies: Policies) -> Decision | None:
    """Return the refusal by an explicit deny of any policy."""
    kinds = (
        (policies.identity, _IDENTITY),
        (policies.boundary or (), _BOUNDARY),
        (policies.session or (), _SESSION),
    )
    for documents, kind in kinds:
        if found := _first(access, documents, deny=True):
            return Decision(False, f"with an explicit deny in {kind}", found.name)
    for statement in access.resource_policy.statements if access.resource_policy else ():
        if statement.is_deny and statement.grant(access.principal) and _applies(statement, access):
            return Decision(False, f"with an explicit deny in {_RESOURCE}", statement.name)
    return None


def _grant(access: Access) -> tuple[Grant, str]:
    """Return how the resource's policy allows the access, and the statement that does it most directly."""
    best, name = Grant.NONE, ""
    for statement in access.resource_policy.statements if access.resource_policy else ():
        if statement.is_deny:
            continue
        grant = statement.grant(access.principal)
        if grant > best and _applies(statement, access):
            best, name = grant, statement.name
    return best, name


def _first(access: Access, policies: Iterable[Policy], *, deny: bool) -> Statement | None:
    """Return the first statement of that effect that applies."""
    for policy in policies:
        for statement in policy.statements:
            if statement.is_deny is deny and _applies(statement, access):
                return statement
    return None


def _applies(statement: Statement, access: Access) -> bool:
    return statement.applies(access.action, access.resource, access.context)


def _implicit(access: Access, kind: str) -> Decision:
    return Decision(False, f"because no {kind} allows the {access.action} action", "")
