"""The three things that reading data asks of S3."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from trainer.aws import aws_errors, client
from trainer.data.errors import FileError

SCHEME = "s3://"
CHUNK = 2**20
"""Bytes that are read from S3 at once."""


@dataclass(frozen=True)
class Found:
    """An object in a bucket."""

    url: str
    size: int
    etag: str


def split_url(url: str) -> tuple[str, str]:
    """Return the bucket and the key of s3://bucket/key."""
    assert url.startswith(SCHEME), "the address of something in S3"
    bucket, _, key = url.removeprefix(SCHEME).partition("/")
    return bucket, key


def list_objects(url: str) -> Iterator[Found]:
    """Yield the object of that address, or all below it; raises DatasetError where S3 refuses."""
    bucket, prefix = split_url(url)
    with _refusals(url):
        for page in client("s3").get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            for entry in page.get("Contents", []):
                key = entry["Key"]
                if key == prefix or not prefix or key.startswith(prefix.rstrip("/") + "/"):
                    yield Found(f"{SCHEME}{bucket}/{key}", entry["Size"], entry["ETag"].strip('"'))


def read_object(url: str) -> bytes:
    """Return what is in the object; raises FileError where S3 refuses."""
    bucket, key = split_url(url)
    with _refusals(url):
        body: bytes = client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
        return body


def download_object(url: str, path: Path) -> None:
    """Bring the object to this machine, whole or not at all; raises FileError where S3 refuses."""
    bucket, key = split_url(url)
    partial = path.with_name(f".{path.name}.partial")
    with _refusals(url):
        answer = client("s3").get_object(Bucket=bucket, Key=key)
        with partial.open("wb") as file:
            for chunk in answer["Body"].iter_chunks(CHUNK):
                file.write(chunk)
    if partial.stat().st_size != answer["ContentLength"]:
        raise FileError(f"{url}: the connection ended before all of it was here")
    partial.replace(path)


@contextmanager
def _refusals(url: str) -> Iterator[None]:
    try:
        yield
    except aws_errors() as error:
        raise FileError(f"{url} cannot be read: {error}") from None
