"""AssumeRole and GetCallerIdentity with sessions that keep source identity, tags, policies and an end.

Seam: methods on `TokenResponse`. moto gives keys for roles that do not exist, drops SourceIdentity, tags
and session policies, and never ends a session; drop this when it does otherwise. Whether the trust policy
allows the caller is decided before, in `sandbox/iam/`. What hands out keys that nobody could authorise is
taken away.
"""

from __future__ import annotations

import re
from typing import Any

from moto.core.exceptions import ServiceException
from moto.core.responses import ActionResult
from moto.iam.models import iam_backends
from moto.sts.responses import TokenResponse

from sandbox.iam.callers import default_document
from sandbox.iam.sessions import SESSIONS, Session, role_of
from sandbox.parts import Parts

CHAINED_SECONDS = 3600
"""The longest session of a role that another role's session assumed (STS API reference, AssumeRole)."""
_SHORTEST_SECONDS = 900
_NAME = re.compile(r"[\w+=,.@-]{2,64}", re.ASCII)


class StsError(ServiceException):  # type: ignore[misc]
    """An error of STS, looked up by its code in the service's model."""


def install(parts: Parts) -> None:
    """Replace the actions."""
    TokenResponse.assume_role = assume_role
    TokenResponse.get_caller_identity = get_caller_identity
    for name in (
        "assume_role_with_saml",
        "assume_role_with_web_identity",
        "get_federation_token",
        "get_session_token",
    ):
        if hasattr(TokenResponse, name):
            delattr(TokenResponse, name)


def assume_role(request: Any) -> ActionResult:
    """AssumeRole, for a caller whom the role's trust policy allows it."""
    get = request._get_param
    role_arn, name = get("RoleArn"), get("RoleSessionName")
    role, caller = role_of(role_arn), SESSIONS.find(request.get_access_key())
    if role is None:
        raise StsError("AccessDenied", f"{role_arn} does not exist, or may not be assumed")
    source_identity = get("SourceIdentity") or ""
    for what, value in (("roleSessionName", name), ("sourceIdentity", source_identity)):
        if value and not _NAME.fullmatch(value):
            raise StsError(
                "ValidationError",
                f"Value '{value}' at '{what}' failed to satisfy constraint: {_NAME.pattern}",
            )
    inherited = {key: caller.tags[key] for key in caller.transitive} if caller else {}
    tags = {tag["Key"]: tag["Value"] for tag in get("Tags", [])}
    if clash := sorted(set(inherited) & set(tags)):
        raise StsError("InvalidParameterValue", f"the transitive tag {clash[0]} cannot be set again")
    session = SESSIONS.begin(
        role,
        name,
        _duration(get("DurationSeconds"), role, caller),
        source_identity=_source_identity(source_identity, caller),
        tags={**inherited, **tags},
        transitive=frozenset(inherited) | frozenset(get("TransitiveTagKeys", [])),
        policies=_policies(role, get("Policy"), get("PolicyArns", [])),
    )
    return ActionResult(_answer(session))


def get_caller_identity(request: Any) -> ActionResult:
    """GetCallerIdentity: the assumed role, the user, or the root user for the sandbox's own keys."""
    key, account = request.get_access_key(), request.current_account
    if session := SESSIONS.find(key):
        return ActionResult({"UserId": session.user_id, "Account": session.account, "Arn": session.arn})
    user = iam_backends[account][request.partition].get_user_from_access_key_id(key)
    if user is not None:
        return ActionResult({"UserId": user.id, "Account": account, "Arn": user.arn})
    return ActionResult(
        {"UserId": account, "Account": account, "Arn": f"arn:{request.partition}:iam::{account}:root"}
    )


def _answer(session: Session) -> dict[str, Any]:
    """Return the shape `AssumeRoleResponse`."""
    answer = {
        "Credentials": {
            "AccessKeyId": session.access_key,
            "SecretAccessKey": session.secret,
            "SessionToken": session.token,
            "Expiration": session.expires,
        },
        "AssumedRoleUser": {"AssumedRoleId": session.user_id, "Arn": session.arn},
        "PackedPolicySize": 6,
    }
    return answer | ({"SourceIdentity": session.source_identity} if session.source_identity else {})


def _source_identity(given: str, caller: Session | None) -> str:
    """Return the session's source identity: once set it stays for every role that is assumed from there."""
    kept = caller.source_identity if caller else ""
    if kept and given not in ("", kept):
        raise StsError("AccessDenied", "the SourceIdentity of a session cannot be changed by assuming a role")
    return kept or given


def _duration(given: Any, role: Any, caller: Session | None) -> int:
    """Return the session's length in seconds, or refuse one that the role or the chain does not allow."""
    seconds, longest = int(given or 3600), int(role.max_session_duration or 3600)
    if seconds < _SHORTEST_SECONDS or seconds > longest:
        raise StsError(
            "ValidationError",
            "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."
            if seconds > longest
            else f"DurationSeconds must be at least {_SHORTEST_SECONDS}",
        )
    if caller is not None and seconds > CHAINED_SECONDS:
        raise StsError(
            "ValidationError",
            "The requested DurationSeconds exceeds the 1 hour session limit "
            "for roles assumed by role chaining",
        )
    return seconds


def _policies(role: Any, inline: str | None, arns: list[dict[str, str]]) -> tuple[str, ...]:
    """Return the session policies; the managed ones as they are now."""
    managed = iam_backends[role.account_id][role.partition].managed_policies
    documents = [inline] if inline else []
    for each in arns:
        arn = each["arn"]
        if arn not in managed:
            raise StsError("InvalidParameterValue", f"the policy {arn} does not exist")
        documents.append(default_document(managed[arn]))
    return tuple(documents)
