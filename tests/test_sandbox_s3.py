"""S3 in the embedded cloud: conditional writes, locked versions, and policies that ask for TLS."""

from __future__ import annotations

import json
import socket
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from fleet.cloud import Cloud
from tests.sandbox_helpers import api

pytestmark = pytest.mark.sandbox


def test_a_tls_only_policy_does_not_shut_out_who_comes_over_loopback(sandbox: Cloud) -> None:
    s3 = api(sandbox, "s3")
    s3.create_bucket(Bucket="tls-only")
    statement = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": ["arn:aws:s3:::tls-only", "arn:aws:s3:::tls-only/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    s3.put_bucket_policy(
        Bucket="tls-only", Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    )
    s3.put_object(Bucket="tls-only", Key="a", Body=b"x")


def race(clients: list[Any], key: str) -> tuple[list[int], set[str]]:
    """Write one key from all clients at once, if it is not there; return who won, and the losers' errors."""
    barrier, won, lost = threading.Barrier(len(clients)), [], set()

    def write(number: int) -> None:
        barrier.wait()
        body = str(number).encode() * 200_000
        try:
            clients[number].put_object(Bucket="conditional", Key=key, Body=body, IfNoneMatch="*")
            won.append(number)
        except ClientError as error:
            lost.add(error.response["Error"]["Code"])

    threads = [threading.Thread(target=write, args=[number]) for number in range(len(clients))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return won, lost


def test_of_many_conditional_writes_exactly_one_wins(sandbox: Cloud) -> None:
    api(sandbox, "s3").create_bucket(Bucket="conditional")
    clients = [api(sandbox, "s3") for _ in range(8)]
    for key in ("a", "b", "c", "d", "e"):
        won, lost = race(clients, key)
        assert (len(won), lost) == (1, {"PreconditionFailed"})
        body = api(sandbox, "s3").get_object(Bucket="conditional", Key=key)["Body"].read()
        assert body.startswith(str(won[0]).encode())


def test_listing_does_not_break_while_others_write(sandbox: Cloud) -> None:
    api(sandbox, "s3").create_bucket(Bucket="busy")
    problems: list[BaseException] = []

    def write(number: int) -> None:
        client = api(sandbox, "s3")
        try:
            for each in range(40):
                client.put_object(Bucket="busy", Key=f"{number}/{each}", Body=b"x")
                client.list_objects_v2(Bucket="busy")
        except ClientError as error:
            problems.append(error)

    threads = [threading.Thread(target=write, args=[number]) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    assert api(sandbox, "s3").list_objects_v2(Bucket="busy")["KeyCount"] == 240


def test_an_upload_that_breaks_off_leaves_no_half_object(sandbox: Cloud) -> None:
    s3 = api(sandbox, "s3")
    s3.create_bucket(Bucket="broken-off")
    url = s3.generate_presigned_url("put_object", Params={"Bucket": "broken-off", "Key": "half"})
    host, path = url.removeprefix("http://").split("/", 1)
    name, port = host.split(":")
    with socket.create_connection((name, int(port))) as connection:
        head = f"PUT /{path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 1000\r\n\r\n"
        connection.sendall(head.encode() + b"x" * 500)
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(100).startswith(b"HTTP/1.1 400 ")
    assert s3.list_objects_v2(Bucket="broken-off")["KeyCount"] == 0


@pytest.fixture(scope="module")
def locked(sandbox: Cloud) -> tuple[str, str]:
    """A version under governance and its bucket."""
    s3 = api(sandbox, "s3")
    s3.create_bucket(Bucket="locked", ObjectLockEnabledForBucket=True)
    retention = {"Mode": "GOVERNANCE", "Days": 30}
    s3.put_object_lock_configuration(
        Bucket="locked",
        ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": retention}},
    )
    return "locked", s3.put_object(Bucket="locked", Key="entry", Body=b"first")["VersionId"]


def test_a_locked_version_survives_an_overwrite_and_cannot_be_deleted(
    sandbox: Cloud, locked: tuple[str, str]
) -> None:
    bucket, version = locked
    s3 = api(sandbox, "s3")
    s3.put_object(Bucket=bucket, Key="entry", Body=b"second")
    s3.delete_object(Bucket=bucket, Key="entry")
    with pytest.raises(ClientError, match="AccessDenied"):
        s3.delete_object(Bucket=bucket, Key="entry", VersionId=version)
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "entry", "VersionId": version}]})
    assert [error["Code"] for error in answer["Errors"]] == ["AccessDenied"]
    assert s3.get_object(Bucket=bucket, Key="entry", VersionId=version)["Body"].read() == b"first"


def test_a_retention_can_be_made_longer_and_not_shorter(sandbox: Cloud, locked: tuple[str, str]) -> None:
    bucket, version = locked
    s3 = api(sandbox, "s3")

    def retain(days: int, **more: Any) -> None:
        until = datetime.now(UTC) + timedelta(days=days)
        retention = {"Mode": "GOVERNANCE", "RetainUntilDate": until}
        s3.put_object_retention(Bucket=bucket, Key="entry", VersionId=version, Retention=retention, **more)

    retain(60)
    with pytest.raises(ClientError, match="AccessDenied"):
        retain(1)
    retain(40, BypassGovernanceRetention=True)


@pytest.mark.parametrize(
    ("marker", "found"),
    [
        ("a", ["b1", "b0", "c0", "d"]),
        ("b", ["b1", "b0", "c0", "d"]),
        ("b/x", ["c0", "d"]),
        ("c/x", ["d"]),
        ("z", []),
    ],
)
def test_versions_are_listed_from_a_key_on_without_those_of_the_key_itself(
    sandbox: Cloud, marker: str, found: list[str]
) -> None:
    s3, bucket = api(sandbox, "s3"), "listed-versions"
    if bucket not in {each["Name"] for each in s3.list_buckets()["Buckets"]}:
        s3.create_bucket(Bucket=bucket)
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        for key, body in (("b/x", b"b0"), ("b/x", b"b1"), ("c/x", b"c0"), ("d", b"d")):
            s3.put_object(Bucket=bucket, Key=key, Body=body)
    listed = s3.list_object_versions(Bucket=bucket, KeyMarker=marker).get("Versions", [])
    bodies = [
        s3.get_object(Bucket=bucket, Key=each["Key"], VersionId=each["VersionId"])["Body"].read().decode()
        for each in listed
    ]
    assert bodies == found


def test_a_prefix_has_its_own_versions_alone_wherever_the_listing_begins(sandbox: Cloud) -> None:
    s3, bucket = api(sandbox, "s3"), "versions-below"
    s3.create_bucket(Bucket=bucket)
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    for key in ("a/1", "b/1", "b/2", "b/2", "b/3", "c/1"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"x")

    def keys(**query: Any) -> list[str]:
        pages = s3.get_paginator("list_object_versions").paginate(
            Bucket=bucket, Prefix="b/", PaginationConfig={"PageSize": 2}, **query
        )
        return [each["Key"] for page in pages for each in page.get("Versions", ())]

    assert keys() == ["b/1", "b/2", "b/2", "b/3"]
    assert s3.list_object_versions(Bucket=bucket, Prefix="b/", KeyMarker="a/9")["Versions"][0]["Key"] == "b/1"
    assert [
        each["Key"]
        for each in s3.list_object_versions(Bucket=bucket, Prefix="b/", KeyMarker="b/2")["Versions"]
    ] == ["b/3"]


def test_keys_and_folders_are_listed_in_one_order_page_by_page_without_what_was_deleted(
    sandbox: Cloud,
) -> None:
    s3, bucket = api(sandbox, "s3"), "listed-folders"
    s3.create_bucket(Bucket=bucket)
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    for key in ("a", "r/1/x", "r/1/y", "r/2/x", "r/3/x", "r/30", "r/4", "r/5/x", "s"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    s3.delete_object(Bucket=bucket, Key="r/2/x")
    s3.delete_object(Bucket=bucket, Key="r/4")

    def listed(**query: Any) -> list[str]:
        pages = s3.get_paginator("list_objects_v2").paginate(
            Bucket=bucket, PaginationConfig={"PageSize": 2}, **query
        )
        return [
            str(each.get("Key") or each["Prefix"])
            for page in pages
            for each in sorted(
                [*page.get("Contents", ()), *page.get("CommonPrefixes", ())],
                key=lambda each: each.get("Key") or each["Prefix"],
            )
        ]

    assert listed(Prefix="r/", Delimiter="/") == ["r/1/", "r/3/", "r/30", "r/5/"]
    assert listed(Prefix="r/", Delimiter="/", StartAfter="r/1/y") == ["r/3/", "r/30", "r/5/"]
    assert listed(Prefix="r/1") == ["r/1/x", "r/1/y"]
    assert listed() == ["a", "r/1/x", "r/1/y", "r/3/x", "r/30", "r/5/x", "s"]
    s3.put_object(Bucket=bucket, Key="r/2/x", Body=b"again")
    assert listed(Prefix="r/2") == ["r/2/x"]
