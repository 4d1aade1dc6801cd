"""The buckets of an environment at a teardown: whether they hold anything, and emptying them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fleet import aws
from fleet.errors import ActError
from fleet.session import Session

_PASSING = ("node/", "nodes/")
"""What fleetform keeps in the artifact bucket for a standing fleet: the node bundle, what machines mount, and
the claims on nodes."""


def holds_objects(session: Session, bucket: str) -> bool:
    """Return whether the bucket is there and holds any version of an object that is the users'."""
    return any(not item["Key"].startswith(_PASSING) for batch in _batches(session, bucket) for item in batch)


def empty(session: Session, bucket: str) -> int:
    """Delete every version of every object in the bucket and return how many; 0 where it is not there."""
    s3, count = session.client("s3"), 0
    for batch in _batches(session, bucket):
        answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": batch, "Quiet": True})
        if failed := answer.get("Errors"):
            first = failed[0]
            raise ActError(f"{first['Key']} in {bucket} can't be deleted ({first['Message']})")
        count += len(batch)
    return count


def _batches(session: Session, bucket: str) -> Iterator[list[dict[str, Any]]]:
    """Yield the versions and delete markers in the bucket, 1000 at a time: what one call may delete."""
    pages = session.client("s3").get_paginator("list_object_versions").paginate(Bucket=bucket)
    try:
        for page in pages:
            found = [*page.get("Versions", ()), *page.get("DeleteMarkers", ())]
            if found:
                yield [{"Key": each["Key"], "VersionId": each["VersionId"]} for each in found]
    except Exception as error:
        if aws.error_code(error) not in ("NoSuchBucket", "404"):
            raise
