"""Who an access key belongs to, and which policies limit them: root user, IAM user, or an assumed role."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from moto.core import DEFAULT_ACCOUNT_ID
from moto.iam.models import iam_backends

from sandbox.iam.evaluation import Policies
from sandbox.iam.policy import Policy, parse_policy
from sandbox.iam.principals import Principal
from sandbox.iam.sessions import SESSIONS, Session, role_of
from sandbox.variables import ACCESS_KEY


class UnknownKeyError(Exception):
    """The access key belongs to nobody, or its session token is another one's."""


class ExpiredKeyError(Exception):
    """The session that the access key belongs to has ended."""


@dataclass(frozen=True, kw_only=True)
class Caller:
    """Who makes a call."""

    principal: Principal
    kind: str
    """`aws:PrincipalType`."""
    user_id: str
    username: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    """Of the user, or of the role and over them of the session."""
    source_identity: str = ""
    issued: datetime | None = None
    """When the temporary credentials were made, None for an IAM user's own key."""
    session: Session | None = None


ANONYMOUS = Caller(principal=Principal(arn="", account=""), kind="Anonymous", user_id="anonymous")


def root_of(account: str) -> Caller:
    """Return the root user of the account."""
    arn = f"arn:aws:iam::{account}:root"
    return Caller(
        principal=Principal(arn=arn, account=account, is_root=True), kind="Account", user_id=account
    )


def caller_of(access_key: str, token: str) -> Caller:
    """Return who signed with the key; no key is nobody. Raises UnknownKeyError and ExpiredKeyError."""
    if not access_key:
        return ANONYMOUS
    if access_key == ACCESS_KEY:
        return root_of(DEFAULT_ACCOUNT_ID)
    if session := SESSIONS.find(access_key):
        if token != session.token:
            raise UnknownKeyError
        if session.is_expired():
            raise ExpiredKeyError
        return _of_session(session)
    return _of_user(access_key)


def policies_of(caller: Caller) -> Policies:
    """Return every policy that belongs to the caller; raises PolicyError for one that is none."""
    if caller.session is not None:
        session = caller.session
        role = role_of(session.role_arn)
        if role is None:  # deleted: nothing is allowed any more
            return Policies()
        given = tuple(parse_policy(text, "the session policy") for text in session.policies)
        return Policies(
            identity=_identity(role),
            boundary=_boundary(role.permissions_boundary_arn, role),
            session=given or None,
        )
    if caller.kind != "User":
        return Policies()
    principal = caller.principal
    backend = iam_backends[principal.account][principal.partition]
    user = backend.users[caller.username]
    groups = backend.get_groups_for_user(caller.username)
    return Policies(identity=tuple(each for owner in (user, *groups) for each in _identity(owner)))


def default_document(managed: Any) -> str:
    """Return the text of a managed policy's default version."""
    return next(
        str(each.document) for each in managed.versions if each.version_id == managed.default_version_id
    )


def _of_session(session: Session) -> Caller:
    role = role_of(session.role_arn)
    role_tags = {tag["Key"]: tag["Value"] for tag in (role.tags if role is not None else None) or []}
    return Caller(
        principal=Principal(
            arn=session.arn,
            account=session.account,
            partition=session.partition,
            role_arn=session.role_arn,
        ),
        kind="AssumedRole",
        user_id=session.user_id,
        tags={**role_tags, **session.tags},
        source_identity=session.source_identity,
        issued=session.issued,
        session=session,
    )


def _of_user(access_key: str) -> Caller:
    for account in list(iam_backends.values()):
        for backend in list(account.values()):
            user = backend.get_user_from_access_key_id(access_key)
            if user is None:
                continue
            if user.get_access_key_by_id(access_key).status != "Active":
                raise UnknownKeyError
            return Caller(
                principal=Principal(arn=user.arn, account=user.account_id, partition=backend.partition),
                kind="User",
                user_id=user.id,
                username=user.name,
                tags={tag["Key"]: tag["Value"] for tag in user.tags or []},
            )
    raise UnknownKeyError


def _identity(owner: Any) -> tuple[Policy, ...]:
    """Return the policies in and on a role, user or group."""
    inline = (
        parse_policy(text, f"the policy {name} of {owner.name}") for name, text in _texts(owner.policies)
    )
    managed = (
        parse_policy(default_document(policy), policy.arn) for policy in list(owner.managed_policies.values())
    )
    return (*inline, *managed)


def _texts(policies: Mapping[str, str]) -> Iterable[tuple[str, str]]:
    return list(policies.items())


def _boundary(arn: str | None, owner: Any) -> tuple[Policy, ...] | None:
    """Return the permissions boundary; one whose policy is gone allows nothing."""
    if not arn:
        return None
    managed = iam_backends[owner.account_id][owner.partition].managed_policies.get(arn)
    return (parse_policy(default_document(managed), arn),) if managed is not None else ()
