"""Why a destroy failed: something hangs on what was to go, the cloud was busy, or neither.

The AWS provider hands on the service's own error code within its message (`api error BucketNotEmpty: ...`),
and tells of its own patience's end in words. Codes are those of the services' API references.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from fleet.terraform_events import Diagnostic

Cause = Literal["held", "busy", "final"]

_HELD = re.compile(
    r"\b(DependencyViolation|BucketNotEmpty|DeleteConflict(Exception)?|FileSystemInUse|VolumeInUse"
    r"|ResourceInUse(Exception|Fault)?|Invalid\w+\.InUse|IncorrectState|IncorrectInstanceState"
    r"|IncorrectFileSystemLifeCycleState|IncorrectMountTargetState|ScalingActivityInProgress"
    r"|BackupInProgress|OperationInProgress)\b"
    r"|timeout while waiting for"
)
"""The code says that something else has to go first; or the provider has waited for it as long as it does."""
_BUSY = re.compile(
    r"\b(Throttl\w+|RequestThrottled\w*|RequestLimitExceeded|TooManyRequests(Exception)?|SlowDown"
    r"|PriorRequestNotComplete|ConcurrentModification(Exception)?|OptimisticLockException"
    r"|Internal(Error|Failure|ServerError|ServiceError|ServerException)|ServiceUnavailable\w*|Unavailable"
    r"|RequestTimeout(Exception)?)\b"
    r"|StatusCode: 5\d\d|connection (reset|refused)|i/o timeout|TLS handshake timeout|unexpected EOF"
    r"|request send failed|exceeded maximum number of attempts",
)
_ONE_CODE_FOR_ALL = "aws_fsx_"
"""FSx refuses what is busy and what is wrong with the same code, BadRequest."""


@dataclass(frozen=True, kw_only=True)
class Failure:
    """The errors of one destroy, by their cause."""

    held: tuple[Diagnostic, ...]
    busy: tuple[Diagnostic, ...]
    final: tuple[Diagnostic, ...]
    """No repeating mends these."""


def classify(diagnostics: Iterable[Diagnostic]) -> Failure:
    """Return the errors sorted by their cause."""
    found = [(cause_of(each), each) for each in diagnostics]
    held, busy, final = (
        tuple(each for cause, each in found if cause == wanted) for wanted in ("held", "busy", "final")
    )
    return Failure(held=held, busy=busy, final=final)


def cause_of(diagnostic: Diagnostic) -> Cause:
    """Return the cause of one error."""
    text = f"{diagnostic.summary}\n{diagnostic.detail}"
    if _HELD.search(text):
        return "held"
    if diagnostic.address.startswith(_ONE_CODE_FOR_ALL) and "BadRequest" in text:
        return "held"
    return "busy" if _BUSY.search(text) else "final"
