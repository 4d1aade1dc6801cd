"""Refusals as each service words them: its error code, its HTTP status and its message.

Codes by protocol: the errors that all actions share, in each service's API reference ("Common errors").
"""

from __future__ import annotations

from dataclasses import dataclass

from botocore.exceptions import UnknownServiceError
from moto.core.utils import get_service_model

from sandbox.iam.evaluation import Access, Decision

_INVALID = "The security token included in the request is invalid."
_EXPIRED = "The security token included in the request is expired"


@dataclass(frozen=True)
class Refusal:
    """An error to answer with."""

    code: str
    message: str
    status: int


def denied(service: str, access: Access, decision: Decision) -> Refusal:
    """Return the refusal of an access that the policies do not allow."""
    principal = access.principal.arn or "anonymous"
    message = (
        f"User: {principal} is not authorized to perform: {access.action} "
        f"on resource: {access.resource} {decision.reason}"
    )
    if service == "ec2":
        return Refusal(
            "UnauthorizedOperation", f"You are not authorized to perform this operation. {message}", 403
        )
    if service == "sns":
        return Refusal("AuthorizationError", message, 403)
    if _speaks_json(service):
        return Refusal("AccessDeniedException", message, _json_status(service))
    return Refusal("AccessDenied", message, 403)


def unknown_key(service: str) -> Refusal:
    """Return the refusal of a key that belongs to nobody."""
    if service == "s3":
        text = "The AWS Access Key Id you provided does not exist in our records."
        return Refusal("InvalidAccessKeyId", text, 403)
    if service == "ec2":
        return Refusal("AuthFailure", "AWS was not able to validate the provided access credentials", 401)
    if _speaks_json(service):
        return Refusal("UnrecognizedClientException", _INVALID, _json_status(service))
    return Refusal("InvalidClientTokenId", _INVALID, 403)


def expired_key(service: str) -> Refusal:
    """Return the refusal of a session that has ended."""
    if service == "s3":
        return Refusal("ExpiredToken", "The provided token has expired.", 400)
    if service == "ec2":
        return Refusal("RequestExpired", "Request has expired.", 400)
    if _speaks_json(service):
        return Refusal("ExpiredTokenException", _EXPIRED, _json_status(service))
    return Refusal("ExpiredToken", _EXPIRED, 403)


def unsigned(service: str) -> Refusal:
    """Return the refusal of a call without a signature."""
    return Refusal("MissingAuthenticationToken", "Request is missing Authentication Token", 403)


def _protocols(service: str) -> tuple[str, ...]:
    try:
        model = get_service_model(service)
    except UnknownServiceError:
        return ("query",)
    return tuple(model.metadata.get("protocols", [str(model.protocol)]))


def _speaks_json(service: str) -> bool:
    """Return whether errors are named as in JSON; who still speaks the query protocol keeps its names."""
    protocols = _protocols(service)
    return "query" not in protocols and any("json" in each for each in protocols)


def _json_status(service: str) -> int:
    return 403 if "rest-json" in _protocols(service) else 400
