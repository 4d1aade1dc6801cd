"""The artifact bucket as a key-value store, with writes that succeed only if nobody was first."""

from __future__ import annotations

import contextlib
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from node.aws import aws_errors, error_code, upload_file
from node.layout import is_checkpoint

_MISSING = frozenset({"NoSuchKey", "404", "NotFound"})
_REFUSED = frozenset({"AccessDenied", "403"})
_TAKEN = frozenset({"PreconditionFailed", "ConditionalRequestConflict", "412", "409"})
_EMPTY = frozenset({"InvalidRange", "416"})
"""What S3 answers to a range of an object without a byte."""
CHECKPOINT_TAGGING = "fleetform=checkpoint"
"""The tag by which the bucket's lifecycle rule finds checkpoints; a model never carries it."""
PART_BYTES = 64 * 1024 * 1024
"""From this size on, a file goes up in parts instead of in one request."""


@dataclass(frozen=True)
class Stored:
    """An object as it was read."""

    body: bytes
    etag: str


@dataclass(frozen=True)
class Ending:
    """The end of an object as it was read."""

    body: bytes
    modified: float
    """When the object was written, seconds since the epoch; S3 counts in whole seconds."""


@dataclass(frozen=True)
class Bucket:
    """One bucket behind one S3 client."""

    s3: Any
    name: str

    def read(self, key: str) -> Stored | None:
        """Return the object with its ETag, or None where there is none."""
        try:
            answer = self.s3.get_object(Bucket=self.name, Key=key)
        except aws_errors() as error:
            if self._is_missing(key, error):
                return None
            raise
        return Stored(answer["Body"].read(), answer["ETag"])

    def get(self, key: str) -> bytes | None:
        """Return the object's bytes, or None where there is none."""
        stored = self.read(key)
        return stored.body if stored else None

    def get_end(self, key: str, count: int) -> bytes | None:
        """Return at most the last `count` bytes of the object, or None where there is none."""
        found = self.ending(key, count)
        return found.body if found else None

    def ending(self, key: str, count: int) -> Ending | None:
        """Return at most the last `count` bytes of the object with its time, or None where there is none."""
        try:
            answer = self.s3.get_object(Bucket=self.name, Key=key, Range=f"bytes=-{count}")
        except aws_errors() as error:
            if self._is_missing(key, error):
                return None
            if error_code(error) in _EMPTY:
                return Ending(b"", 0.0)
            raise
        modified = answer.get("LastModified")
        return Ending(bytes(answer["Body"].read()), modified.timestamp() if modified else 0.0)

    def _is_missing(self, key: str, error: Exception) -> bool:
        """Return whether the object is not there: S3 refuses it to who may list only a part of the bucket."""
        code = error_code(error)
        if code not in _REFUSED:
            return code in _MISSING
        try:
            return key not in self.sizes(key)
        except aws_errors():
            return False

    def put(self, key: str, body: bytes) -> str:
        """Write the object, whatever was there; return its ETag."""
        return str(self.s3.put_object(Bucket=self.name, Key=key, Body=body)["ETag"])

    def put_new(self, key: str, body: bytes) -> str | None:
        """Write the object if there is none yet and return its ETag; None where somebody was first."""
        return self._put_if(key, body, IfNoneMatch="*")

    def replace(self, key: str, body: bytes, etag: str) -> str | None:
        """Write the object if it is still the one with that ETag; None where it has changed or gone."""
        return self._put_if(key, body, IfMatch=etag)

    def _put_if(self, key: str, body: bytes, **condition: str) -> str | None:
        try:
            return str(self.s3.put_object(Bucket=self.name, Key=key, Body=body, **condition)["ETag"])
        except aws_errors() as error:
            if error_code(error) in _TAKEN | _MISSING:
                return None
            raise

    def delete(self, key: str) -> None:
        """Delete the object; one that is not there is no error."""
        self.s3.delete_object(Bucket=self.name, Key=key)

    def sizes(self, prefix: str) -> dict[str, int]:
        """Return the size in bytes of every object below the prefix, by key."""
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=prefix)
        return {item["Key"]: int(item["Size"]) for page in pages for item in page.get("Contents", [])}

    def changed(self, prefix: str) -> float:
        """Return when an object below the prefix was last written, seconds since the epoch; 0 without one."""
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=prefix)
        times = (item["LastModified"].timestamp() for page in pages for item in page.get("Contents", []))
        return max(times, default=0.0)

    def noted_digest(self, key: str) -> tuple[int, str] | None:
        """Return the object's size, and the SHA-256 that whoever sent it noted on it; None without either."""
        try:
            answer = self.s3.head_object(Bucket=self.name, Key=key)
        except aws_errors() as error:
            if self._is_missing(key, error):
                return None
            raise
        digest = answer["Metadata"].get("sha256")
        return (int(answer["ContentLength"]), str(digest)) if digest else None

    def upload(self, path: Path, key: str) -> tuple[int, str]:
        """Upload a file and return the size and the SHA-256 of what went up; checkpoints get their tag.

        A file beyond PART_BYTES is read twice, so it must not change meanwhile: OSError where its size did.
        """
        extra = {"Tagging": CHECKPOINT_TAGGING} if is_checkpoint(key) else {}
        if path.stat().st_size < PART_BYTES:
            body = path.read_bytes()
            self.s3.put_object(Bucket=self.name, Key=key, Body=body, **extra)
            return len(body), hashlib.sha256(body).hexdigest()
        size, digest = file_digest(path)
        upload_file(self.s3, str(path), self.name, key, extra)
        if path.stat().st_size != size:
            raise OSError(f"{path} changed while it was uploaded")
        return size, digest

    def download(self, key: str, path: Path, sha256: str) -> None:
        """Download the object to `path`, which appears whole or not at all.

        Raises ValueError where its SHA-256 is another one than `sha256`.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}.{os.getpid()}.part")
        digest = hashlib.sha256()
        try:
            with part.open("wb") as file:
                for chunk in self.s3.get_object(Bucket=self.name, Key=key)["Body"].iter_chunks(1 << 20):
                    digest.update(chunk)
                    file.write(chunk)
            if digest.hexdigest() != sha256:
                raise ValueError(f"s3://{self.name}/{key} is damaged: its SHA-256 is not {sha256}")
            part.replace(path)
        finally:
            with contextlib.suppress(FileNotFoundError):
                part.unlink()


def file_digest(path: Path) -> tuple[int, str]:
    """Return the size in bytes and the SHA-256 of a file."""
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
            size += len(chunk)
    return size, digest.hexdigest()
