"""What AWS's services call the same failure: too many calls, and errors of their own."""

from __future__ import annotations

from typing import NamedTuple


class Refusal(NamedTuple):
    """An error answer: code, message and HTTP status."""

    code: str
    message: str
    status: int


_THROTTLING = {
    # https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html; it comes with HTTP 503
    "ec2": ("RequestLimitExceeded", 503),
    # https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
    "s3": ("SlowDown", 503),
    "lambda": ("TooManyRequestsException", 429),
}
_QUERY = frozenset({"autoscaling", "cloudformation", "cloudwatch", "elbv2", "iam", "rds", "sns", "sts"})
"""Services of the query protocol, which call it `Throttling`."""
_INTERNAL = {"ec2": "InternalError", "s3": "InternalError"}


def throttling(service: str, message: str) -> Refusal:
    """Return how the service refuses one call too many; every AWS client tries such a call again."""
    usual = ("Throttling", 400) if service in _QUERY else ("ThrottlingException", 400)
    code, status = _THROTTLING.get(service, usual)
    return Refusal(code, f"Rate exceeded ({message})", status)


def server_error(service: str, message: str) -> Refusal:
    """Return how the service says that it has failed itself, with HTTP 500."""
    return Refusal(_INTERNAL.get(service, "InternalFailure"), f"internal failure ({message})", 500)
