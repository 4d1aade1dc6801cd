"""Session Manager's own list of sessions on a machine, and their transcripts in the locked bucket."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from dataclasses import dataclass

from fleet.locked_bucket import LockedBucket
from fleet.session import Session
from stacks import naming

KEPT_DAYS = 30
"""How long Session Manager lists a session that has ended (its user guide, "View session history")."""


@dataclass(frozen=True)
class NodeSession:
    """One session."""

    id: str
    who: str
    """ARN of who began it."""
    began: datetime.datetime
    ended: datetime.datetime | None
    document: str
    reason: str


@dataclass(frozen=True)
class Transcript:
    """What a session left in the locked bucket, in the version that was first written."""

    key: str
    version: str
    versions: int
    """More than one: somebody wrote over it. The first one counts."""


def list_sessions(session: Session, instance_id: str) -> Iterator[NodeSession]:
    """Yield the sessions on the machine that Session Manager knows, those that go on and those that ended."""
    pages = session.client("ssm").get_paginator("describe_sessions")
    chosen = [{"key": "Target", "value": instance_id}]
    for state in ("Active", "History"):
        for page in pages.paginate(State=state, Filters=chosen):
            for each in page["Sessions"]:
                yield NodeSession(
                    id=each["SessionId"],
                    who=each.get("Owner", ""),
                    began=each["StartDate"],
                    ended=each.get("EndDate"),
                    document=each.get("DocumentName", ""),
                    reason=each.get("Reason", ""),
                )


def find_transcript(objects: LockedBucket, session_id: str) -> Transcript | None:
    """Return a session's transcript, None where there is none (yet): it is written at the end."""
    found = list(objects.versions(f"{naming.SESSIONS_PREFIX}{session_id}"))
    if not found:
        return None
    oldest = found[-1]
    return Transcript(oldest["Key"], oldest["VersionId"], len(found))
