"""The artifact bucket at a teardown: whether it holds anything, and emptying it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fleet import aws
from fleet.errors import ActError
from fleet.session import Session
from stacks import naming

_PASSING = ("node/", "nodes/")
"""What fleetform keeps in the bucket for a standing fleet: the node bundle, and the claims on nodes."""


def artifact_bucket(session: Session) -> str:
    """Return the environment's artifact bucket's name."""
    return naming.artifact_bucket(session.account.organization, session.spec.name, session.spec.region)


def holds_objects(session: Session) -> bool:
    """Return whether the bucket is there and holds any version of an object that is the users'."""
    return any(not item["Key"].startswith(_PASSING) for batch in _batches(session) for item in batch)


def empty(session: Session) -> int:
    """Delete every version of every object in the bucket and return how many; 0 where it is not there."""
    s3, count = session.client("s3"), 0
    for batch in _batches(session):
        answer = s3.delete_objects(Bucket=artifact_bucket(session), Delete={"Objects": batch, "Quiet": True})
        if failed := answer.get("Errors"):
            first = failed[0]
            raise ActError(
                f"{first['Key']} in {artifact_bucket(session)} can't be deleted ({first['Message']})"
            )
        count += len(batch)
    return count


def _batches(session: Session) -> Iterator[list[dict[str, Any]]]:
    """Yield the versions and delete markers in the bucket, 1000 at a time: what one call may delete."""
    pages = (
        session.client("s3").get_paginator("list_object_versions").paginate(Bucket=artifact_bucket(session))
    )
    try:
        for page in pages:
            found = [*page.get("Versions", ()), *page.get("DeleteMarkers", ())]
            if found:
                yield [{"Key": each["Key"], "VersionId": each["VersionId"]} for each in found]
    except Exception as error:
        if aws.error_code(error) not in ("NoSuchBucket", "404"):
            raise
