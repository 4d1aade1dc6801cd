"""Faults, gaps and the call log: errors in the service's own format, no retrying of what will never work."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.error import HTTPError

import pytest
from botocore.exceptions import ClientError

from fleet.cloud import Cloud
from tests.sandbox_helpers import admin, api

pytestmark = pytest.mark.sandbox


@pytest.fixture(autouse=True)
def _no_faults_after(sandbox: Cloud) -> Iterator[None]:
    yield
    admin(sandbox, "DELETE", "faults")


def refused(call: object, **arguments: object) -> tuple[str, int]:
    """Return code and HTTP status of a call that must fail."""
    with pytest.raises(ClientError) as caught:
        call(**arguments)  # type: ignore[operator]
    response = caught.value.response
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]


@pytest.mark.parametrize(
    ("service", "action", "call"),
    [
        ("ec2", "DescribeVpcs", "describe_vpcs"),
        ("ssm", "DescribeInstanceInformation", "describe_instance_information"),
        ("iam", "ListRoles", "list_roles"),
        ("s3", "ListBuckets", "list_buckets"),
        ("efs", "DescribeFileSystems", "describe_file_systems"),
        ("cloudwatch", "DescribeAlarms", "describe_alarms"),
    ],
)
def test_a_fault_speaks_every_protocol(sandbox: Cloud, service: str, action: str, call: str) -> None:
    admin(
        sandbox,
        "POST",
        "faults",
        {"service": service, "action": action, "code": "AccessDenied", "status": 403},
    )
    assert refused(getattr(api(sandbox, service), call)) == ("AccessDenied", 403)


def test_s3_can_refuse_one_object_and_take_the_others(sandbox: Cloud) -> None:
    s3 = api(sandbox, "s3")
    s3.create_bucket(Bucket="faulty")
    admin(
        sandbox,
        "POST",
        "faults",
        {"service": "s3", "action": "PutObject", "resource": "faulty/full/", "code": "QuotaExceeded"},
    )
    assert refused(s3.put_object, Bucket="faulty", Key="full/a", Body=b"x") == ("QuotaExceeded", 400)
    s3.put_object(Bucket="faulty", Key="free/a", Body=b"x")
    [rule] = admin(sandbox, "GET", "status")["faults"]
    assert rule["hits"] == 1


def test_a_fault_that_is_spent_lets_calls_through(sandbox: Cloud) -> None:
    admin(sandbox, "POST", "faults", {"service": "sts", "code": "Throttling", "status": 503, "count": 2})
    # boto3 tries a 503 again by itself, so the two refusals are not even seen.
    assert api(sandbox, "sts").get_caller_identity()["Account"] == "123456789012"
    [rule] = admin(sandbox, "GET", "status")["faults"]
    assert rule["hits"] == 2


def test_a_seed_makes_chance_repeatable(sandbox: Cloud) -> None:
    def outcomes() -> list[bool]:
        admin(sandbox, "DELETE", "faults")
        rule = {
            "service": "s3",
            "action": "ListBuckets",
            "code": "AccessDenied",
            "probability": 0.5,
            "seed": 7,
        }
        admin(sandbox, "POST", "faults", rule)
        found = []
        for _ in range(12):
            try:
                api(sandbox, "s3").list_buckets()
                found.append(True)
            except ClientError:
                found.append(False)
        return found

    first = outcomes()
    assert first == outcomes()
    assert set(first) == {True, False}


def test_an_answer_that_is_lost_has_still_changed_the_cloud(sandbox: Cloud) -> None:
    s3 = api(sandbox, "s3")
    admin(
        sandbox,
        "POST",
        "faults",
        {"service": "s3", "action": "CreateBucket", "code": "Broken", "after": True},
    )
    assert refused(s3.create_bucket, Bucket="made-anyway") == ("Broken", 400)
    admin(sandbox, "DELETE", "faults")
    s3.head_bucket(Bucket="made-anyway")


def test_a_wrong_rule_is_refused(sandbox: Cloud) -> None:
    with pytest.raises(HTTPError, match="400"):
        admin(sandbox, "POST", "faults", {"servce": "s3"})
    assert admin(sandbox, "GET", "status")["faults"] == []


def test_what_moto_lacks_is_refused_at_once_and_listed(sandbox: Cloud) -> None:
    code = refused(api(sandbox, "ec2").describe_spot_datafeed_subscription)
    assert code == ("SandboxNotImplemented", 400)
    assert admin(sandbox, "GET", "status")["gaps"]["ec2:DescribeSpotDatafeedSubscription"] == 1


def test_a_failure_of_moto_names_the_call_and_is_not_retried(sandbox: Cloud) -> None:
    assert refused(api(sandbox, "efs").describe_backup_policy, FileSystemId="fs-12345678") == (
        "SandboxError",
        400,
    )


def test_every_call_is_logged_with_its_service_and_action(sandbox: Cloud) -> None:
    api(sandbox, "kms").list_keys()
    api(sandbox, "s3").list_buckets()
    last = [(each["service"], each["action"], each["status"]) for each in admin(sandbox, "GET", "calls")[-2:]]
    assert last == [("kms", "ListKeys", 200), ("s3", "ListBuckets", 200)]
