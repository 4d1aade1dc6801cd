"""Emptying a bucket: every version, marker and upload, in the right order, and never past a lock."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from fleet.artifacts import empty_bucket, holds_anything
from fleet.cloud import Cloud
from fleet.errors import ActError
from tests.sandbox_helpers import api


@pytest.fixture
def bucket(sandbox: Cloud) -> Iterator[str]:
    """Return a versioned bucket of its own, with Object Lock allowed; it must be empty at the end."""
    name, s3 = f"empty-{uuid.uuid4().hex[:10]}", api(sandbox, "s3")
    s3.create_bucket(Bucket=name, ObjectLockEnabledForBucket=True)
    yield name
    s3.delete_bucket(Bucket=name)


@pytest.mark.sandbox
def test_versions_markers_and_unfinished_uploads_go(sandbox: Cloud, bucket: str) -> None:
    s3 = api(sandbox, "s3")
    for body in (b"1", b"2"):
        s3.put_object(Bucket=bucket, Key="twice", Body=body)
    s3.delete_object(Bucket=bucket, Key="twice")
    s3.create_multipart_upload(Bucket=bucket, Key="half")
    assert holds_anything(s3, bucket)
    assert empty_bucket(s3, bucket) == 3
    assert not holds_anything(s3, bucket)
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)
    assert empty_bucket(s3, bucket) == 0 == empty_bucket(s3, f"{bucket}-not-there")


@pytest.mark.sandbox
def test_what_is_locked_stays_is_named_with_its_day_and_all_else_goes(sandbox: Cloud, bucket: str) -> None:
    s3 = api(sandbox, "s3")
    until = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=40)
    s3.put_object(Bucket=bucket, Key="free", Body=b"x")
    locked = {"Bucket": bucket, "Key": "locked"}
    version = s3.put_object(
        **locked, Body=b"x", ObjectLockMode="GOVERNANCE", ObjectLockRetainUntilDate=until
    )["VersionId"]
    with pytest.raises(ActError, match=rf"locked in {bucket} .*until {until:%Y-%m-%d}, and no lock is"):
        empty_bucket(s3, bucket)
    left = s3.list_object_versions(Bucket=bucket)["Versions"]
    assert [(each["Key"], each["VersionId"]) for each in left] == [("locked", version)]
    s3.delete_object(**locked, VersionId=version, BypassGovernanceRetention=True)


class _S3:
    """S3 with pages of versions, that refuses some of them for a while."""

    def __init__(self, pages: list[list[str]], errors: list[str], *, uploads: str = "") -> None:
        self.pages, self.errors, self.uploads = pages, errors, uploads
        self.deleted = list[str]()

    def get_paginator(self, operation: str) -> Any:
        self.operation = operation
        return self

    def paginate(self, Bucket: str) -> Iterator[Any]:  # noqa: N803 - the API's name
        if self.operation == "list_multipart_uploads":
            if self.uploads:
                raise ClientError({"Error": {"Code": self.uploads, "Message": "no"}}, "ListMultipartUploads")
            return
        for page in self.pages:
            yield {"Versions": [{"Key": each, "VersionId": "1"} for each in page if each not in self.deleted]}

    def head_object(self, **request: Any) -> Any:
        return {"ObjectLockLegalHoldStatus": "ON"} if self.errors == ["Held"] else {}

    def delete_objects(self, Bucket: str, Delete: Any) -> Any:  # noqa: N803 - the API's names
        first, *rest = Delete["Objects"]
        code = self.errors.pop(0) if self.errors else ""
        self.deleted += [each["Key"] for each in (rest if code else Delete["Objects"])]
        return {"Errors": [{**first, "Code": code, "Message": code}]} if code else {}


def test_what_makes_a_run_goes_before_everything_else() -> None:
    s3 = _S3([["runs/a/events.jsonl", "runs/a/run.json"], ["runs/b/model", "runs/b/run.json"]], [])
    assert empty_bucket(s3, "x", first="/run.json") == 4
    assert set(s3.deleted[:2]) == {"runs/a/run.json", "runs/b/run.json"}
    assert set(s3.deleted[2:]) == {"runs/a/events.jsonl", "runs/b/model"}


def test_what_s3_is_too_busy_for_is_tried_again_and_other_refusals_are_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("fleet.artifacts._AGAIN_SECONDS", (0.001, 0.001))
    busy = _S3([["a", "b"]], ["SlowDown", "InternalError"])
    assert empty_bucket(busy, "x") == 2 and sorted(busy.deleted) == ["a", "b"]
    with pytest.raises(ActError, match=r"a in x can't be deleted \(SlowDown\)"):
        empty_bucket(_S3([["a"]], ["SlowDown"] * 3), "x")
    refused = _S3([["a", "b", "c"], ["d"]], ["Denied"])
    with pytest.raises(ActError, match="a in x"):
        empty_bucket(refused, "x")
    assert sorted(refused.deleted) == ["b", "c", "d"]


def test_far_on_it_says_how_far(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fleet.artifacts._TOLD", 2)
    told: list[str] = []
    empty_bucket(_S3([["a", "b"], ["c"], ["d"]], []), "x", told.append)
    assert told == ["emptying x: 4 versions so far"]


def test_who_may_not_end_uploads_empties_the_bucket_all_the_same() -> None:
    s3 = _S3([["a"]], [], uploads="AccessDenied")
    assert empty_bucket(s3, "x") == 1
    with pytest.raises(ClientError, match="InternalError"):
        empty_bucket(_S3([["a"]], [], uploads="InternalError"), "x")
