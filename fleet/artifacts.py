"""The buckets of an environment at a teardown: whether they hold anything, and emptying them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice
from typing import Any

from fleet import aws
from fleet.errors import ActError
from fleet.listings.things import ask
from fleet.session import Session

_PASSING = ("node/", "nodes/")
"""What fleetform keeps in the artifact bucket for a standing fleet: the node bundle, what machines mount, and
the claims on nodes."""
_MAKES_A_RUN = "/run.json"
"""Goes first, so that a bucket that was emptied half shows no run whose outputs are missing."""
_AT_ONCE = 8
"""Batches that are deleted side by side: S3 takes 3500 deletions a second and more of one prefix."""
_BUSY = frozenset({"InternalError", "SlowDown", "ServiceUnavailable", "RequestTimeout"})
"""Codes with which S3 refuses single objects of a batch, and that mean "again"."""
_AGAIN_SECONDS = (1.0, 4.0, 16.0)
_TOLD = 20_000
"""Versions after which a word is said of how far it is."""

Batch = list[dict[str, str]]
Tell = Callable[[str], None]


def holds_objects(session: Session, bucket: str) -> bool:
    """Return whether the bucket is there and holds any version of an object that is the users'."""
    batches = _batches(session.client("s3"), bucket)
    return any(not item["Key"].startswith(_PASSING) for batch in batches for item in batch)


def holds_anything(s3: Any, bucket: str) -> bool:
    """Return whether any version or delete marker is in the bucket: S3 deletes none that has one."""
    return any(_batches(s3, bucket))


def empty(session: Session, bucket: str, tell: Tell = lambda text: None) -> int:
    """Delete every version of every object in the bucket and return how many; 0 where it is not there."""
    return empty_bucket(session.client("s3"), bucket, tell, first=_MAKES_A_RUN)


def empty_bucket(s3: Any, bucket: str, tell: Tell = lambda text: None, *, first: str = "") -> int:
    """Delete every version, delete marker and unfinished upload; return how many versions and markers.

    Objects whose keys end with `first` go before all others.

    What is locked stays: no lock is ever bypassed. Raises ActError, when all else is deleted, that names how
    many could not be and the first of them.
    """
    _abort_uploads(s3, bucket)
    count, refused = 0, list[dict[str, str]]()
    for ending in (first, "") if first else ("",):
        of_these = (_ending_with(batch, ending) for batch in _batches(s3, bucket))
        for done, errors in _deleted(s3, bucket, of_these):
            before, count, refused = count, count + done, refused + errors
            if count // _TOLD > before // _TOLD:
                tell(f"emptying {bucket}: {count:,} versions so far")
    if refused:
        raise ActError(_why(s3, bucket, refused))
    return count


def _abort_uploads(s3: Any, bucket: str) -> None:
    """End the uploads that nobody has finished; who may not goes on, for they keep no bucket from going."""
    try:
        for upload in _uploads(s3, bucket):
            ask(s3.abort_multipart_upload, Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])
    except Exception as error:
        if aws.error_code(error) not in ("AccessDenied", "403"):
            raise


def _ending_with(batch: Batch, ending: str) -> Batch:
    return [each for each in batch if each["Key"].endswith(ending)]


def _deleted(s3: Any, bucket: str, batches: Iterator[Batch]) -> Iterator[tuple[int, list[dict[str, str]]]]:
    """Delete the batches, some at a time; yield of each turn how many were tried and what was refused.

    No more are listed than are worked on: a listing may be longer than memory.
    """
    with ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
        while some := list(islice(filter(None, batches), _AT_ONCE)):
            answers = list(pool.map(partial(_delete, s3, bucket), some))
            yield sum(map(len, some)), [error for errors in answers for error in errors]


def _delete(s3: Any, bucket: str, batch: Batch) -> list[dict[str, str]]:
    """Delete the versions, those again that S3 was too busy for; return the errors that stay."""
    refused: list[dict[str, str]] = []
    for pause in (*_AGAIN_SECONDS, 0.0):
        answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": batch, "Quiet": True})
        errors = answer.get("Errors", ())
        busy = [each for each in errors if each.get("Code") in _BUSY and pause]
        refused += [each for each in errors if each not in busy]
        batch = [_named(each) for each in busy]
        if not batch:
            break
        time.sleep(pause)
    return refused


def _named(item: dict[str, str]) -> dict[str, str]:
    return {name: item[name] for name in ("Key", "VersionId") if name in item}


def _why(s3: Any, bucket: str, refused: Sequence[dict[str, str]]) -> str:
    """Say what could not be deleted, and until when the first of it is locked where S3 tells."""
    first = refused[0]
    until = _locked_until(s3, bucket, first)
    count = "" if len(refused) == 1 else f" and {len(refused) - 1:,} more"
    lock = f"; {until}, and no lock is bypassed" if until else ""
    said = first.get("Message", first.get("Code"))
    return f"{first['Key']}{count} in {bucket} can't be deleted ({said}){lock}"


def _locked_until(s3: Any, bucket: str, item: dict[str, str]) -> str:
    """Return in words what locks a version, "" where nothing does or nobody may look."""
    try:
        found = s3.head_object(Bucket=bucket, **_named(item))
    except Exception as error:
        if not aws.is_cloud_error(error):
            raise
        return ""
    if until := found.get("ObjectLockRetainUntilDate"):
        return f"it is locked until {until:%Y-%m-%d}"
    return "a legal hold is on it" if found.get("ObjectLockLegalHoldStatus") == "ON" else ""


def _uploads(s3: Any, bucket: str) -> Iterator[dict[str, Any]]:
    """Yield the uploads in parts that nobody has finished; none where the bucket is not there."""
    for page in _pages(s3, "list_multipart_uploads", bucket):
        yield from page.get("Uploads", ())


def _batches(s3: Any, bucket: str) -> Iterator[Batch]:
    """Yield the versions and delete markers in the bucket, 1000 at a time: what one call may delete."""
    for page in _pages(s3, "list_object_versions", bucket):
        found = [*page.get("Versions", ()), *page.get("DeleteMarkers", ())]
        if found:
            yield [{"Key": each["Key"], "VersionId": each["VersionId"]} for each in found]


def _pages(s3: Any, operation: str, bucket: str) -> Iterator[dict[str, Any]]:
    try:
        yield from s3.get_paginator(operation).paginate(Bucket=bucket)
    except Exception as error:
        if aws.error_code(error) not in ("NoSuchBucket", "404"):
            raise
