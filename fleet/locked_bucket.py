"""Objects of the write-once bucket as they were first written, whatever somebody has put over them since.

Object Lock keeps every version until its time is over, but a newer one, or a delete marker, may lie on top of
it and be what a plain GetObject answers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from fleet import aws


@dataclass(frozen=True)
class History:
    """What became of one key."""

    key: str
    oldest: str = ""
    """The id of its first version, "" where there is none."""
    versions: int = 0
    deleted: bool = False
    """Whether a delete marker lies among them."""


class LockedBucket:
    """One bucket with versions."""

    def __init__(self, s3: Any, bucket: str) -> None:
        """Take the bucket's name and a client of its region."""
        self.s3 = s3
        self.name = bucket

    def versions(
        self, prefix: str, kind: str = "Versions", *, after: str = "", before: str = ""
    ) -> Iterator[dict[str, Any]]:
        """Yield the versions below the prefix as S3 lists them: by key, newest first.

        `kind` may be `DeleteMarkers`, which are listed apart. Only those keys are listed that sort between
        `after` and `before`, where these are given.
        """
        begin = {"KeyMarker": after} if after else {}
        pages = self.s3.get_paginator("list_object_versions").paginate(
            Bucket=self.name, Prefix=prefix, **begin
        )
        for page in pages:
            for version in page.get(kind, []):
                if before and version["Key"] >= before:
                    return
                yield version

    def histories(self, prefix: str) -> Iterator[History]:
        """Yield what became of each key below the prefix, by key in order; one listing, little memory."""
        held: dict[str, History] = {}
        pages = self.s3.get_paginator("list_object_versions").paginate(Bucket=self.name, Prefix=prefix)
        for page in pages:
            for version in page.get("Versions", []):  # newest first: the last one seen is the oldest
                before = held.get(version["Key"], History(version["Key"]))
                held[before.key] = replace(before, oldest=version["VersionId"], versions=before.versions + 1)
            for marker in page.get("DeleteMarkers", []):
                before = held.get(marker["Key"], History(marker["Key"]))
                held[before.key] = replace(before, deleted=True)
            for key in sorted(held)[:-1]:  # the last key may go on in the next page
                yield held.pop(key)
        yield from held.values()

    def oldest(self, prefix: str, *, after: str = "", before: str = "") -> dict[str, str]:
        """Return the id of the first version of each key below the prefix, by key in order."""
        found: dict[str, str] = {}
        for version in self.versions(prefix, after=after, before=before):
            found[version["Key"]] = version["VersionId"]  # newest first: the last one seen is the oldest
        return found

    def get(self, key: str, version: str | None = None) -> bytes:
        """Return an object's content, by default that of its newest version."""
        which = {"VersionId": version} if version else {}
        return bytes(self.s3.get_object(Bucket=self.name, Key=key, **which)["Body"].read())

    def find(self, key: str) -> bytes | None:
        """Return the content of the newest version, None where there is no such key or it was deleted."""
        try:
            return self.get(key)
        except Exception as error:
            if aws.error_code(error) != "NoSuchKey":
                raise
            return None

    def first_written(self, key: str) -> bytes | None:
        """Return the content of the first version of a key, None where there never was one."""
        version = self.oldest(key).get(key)
        return self.get(key, version) if version else None

    def signed(self, key: str, version: str) -> tuple[bytes, str]:
        """Return an object's content and the signature, in hex, CloudTrail put beside it."""
        answer = self.s3.get_object(Bucket=self.name, Key=key, VersionId=version)
        return bytes(answer["Body"].read()), str(answer["Metadata"].get("signature", ""))
