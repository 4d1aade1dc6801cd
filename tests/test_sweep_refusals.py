"""What a service refuses to tell is named, and spoils the proof; what is gone meanwhile is no leftover."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from fleet.cloud import Cloud
from fleet.listings.networks import balancer_tags
from fleet.listings.things import Look
from fleet.session import Session
from fleet.sweep import find_leftovers, sweep
from stacks import naming
from tests.sandbox_helpers import admin
from tests.sweep_helpers import open_for_sweeping, tags

pytestmark = pytest.mark.sandbox


@pytest.fixture
def session(sandbox: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    """Return the session of the environment `sweep`, of which nothing exists yet."""
    yield open_for_sweeping(sandbox, tmp_path, monkeypatch)
    admin(sandbox, "DELETE", "faults")


@pytest.fixture
def key(session: Session) -> Iterator[str]:
    """Return a KMS key of the environment's fleet stack; it is pending deletion afterwards."""
    kms = session.client("kms")
    made = kms.create_key(Tags=[{"TagKey": each["Key"], "TagValue": each["Value"]} for each in tags()])
    yield made["KeyMetadata"]["KeyId"]
    admin(session.cloud, "DELETE", "faults")
    kms.schedule_key_deletion(KeyId=made["KeyMetadata"]["KeyId"], PendingWindowInDays=7)
    kms.untag_resource(KeyId=made["KeyMetadata"]["KeyId"], TagKeys=[naming.TAG_ENVIRONMENT])


def refuse(session: Session, service: str, action: str, code: str, **more: Any) -> None:
    """Make the embedded cloud answer a call with that error."""
    fault = {"service": service, "action": action, "code": code, "status": 403, **more}
    admin(session.cloud, "POST", "faults", fault)


def test_a_service_that_refuses_to_be_listed_is_not_taken_for_empty(session: Session) -> None:
    refuse(session, "ec2", "DescribeVolumes", "UnauthorizedOperation")
    found = sweep(session)
    assert [each.title for each in found.not_looked] == ["EBS volumes"]
    assert "UnauthorizedOperation" in found.not_looked[0].why


@pytest.mark.parametrize("action", ["ListResourceTags", "DescribeKey"])
def test_a_key_that_may_not_be_read_is_named_and_still_found_by_its_tag(
    session: Session, key: str, action: str
) -> None:
    refuse(session, "kms", action, "AccessDeniedException", resource=key)
    found = sweep(session)
    assert [each.title for each in found.not_looked] == [f"KMS key {key}"]
    assert "AccessDenied" in found.not_looked[0].why
    assert [thing.id.rpartition("/")[2] for thing in found.things] == [key]
    assert found.things[0].stack == "sweep-fleet"


def test_a_key_that_can_be_read_is_named_once_though_another_refuses(session: Session, key: str) -> None:
    other = session.client("kms").create_key()["KeyMetadata"]["KeyId"]
    refuse(session, "kms", "ListResourceTags", "AccessDeniedException", resource=other)
    found = sweep(session)
    assert [each.title for each in found.not_looked] == [f"KMS key {other}"]
    assert [(thing.kind, thing.id) for thing in found.things] == [("KMS key", key)]


def test_a_key_of_awss_own_may_refuse_to_be_read(session: Session) -> None:
    aws_key = session.client("kms").describe_key(KeyId="alias/aws/ebs")["KeyMetadata"]["KeyId"]
    refuse(session, "kms", "ListResourceTags", "AccessDeniedException", resource=aws_key)
    assert sweep(session).not_looked == ()


def test_what_is_listed_but_gone_is_no_leftover_and_spoils_no_proof(session: Session, key: str) -> None:
    iam, s3, ssm = session.client("iam"), session.client("s3"), session.client("ssm")
    name, bucket, parameter = (
        "sweep-head-us-east-1",
        "run-tests-sweep-artifacts-us-east-1",
        "/fleetform/sweep/outputs",
    )
    with ExitStack() as undo:
        iam.create_role(RoleName=name, AssumeRolePolicyDocument="{}")
        undo.callback(iam.delete_role, RoleName=name)
        iam.create_instance_profile(InstanceProfileName=name)
        undo.callback(iam.delete_instance_profile, InstanceProfileName=name)
        s3.create_bucket(Bucket=bucket)
        undo.callback(s3.delete_bucket, Bucket=bucket)
        ssm.put_parameter(Name=parameter, Value="x", Type="String")
        undo.callback(ssm.delete_parameter, Name=parameter)
        undo.callback(admin, session.cloud, "DELETE", "faults")
        assert {each.kind for each in sweep(session).things} == {
            "IAM role", "IAM instance profile", "S3 bucket", "SSM parameter", "KMS key",
        }  # fmt: skip
        refuse(session, "iam", "ListRoleTags", "NoSuchEntity", status=404)
        refuse(session, "iam", "GetInstanceProfile", "NoSuchEntity", status=404)
        refuse(session, "s3", "GetBucketTagging", "NoSuchBucket", status=404)
        refuse(session, "ssm", "ListTagsForResource", "InvalidResourceId", status=400)
        refuse(session, "kms", "DescribeKey", "NotFoundException", status=400, resource=key)
        found = sweep(session)
        assert (found.things, found.not_looked) == ((), ())


def test_load_balancers_are_asked_about_one_by_one_where_one_of_the_list_is_gone() -> None:
    class LoadBalancing:
        """Refuses a whole list for one that is gone, as the service does (and moto does not)."""

        def describe_tags(self, *, ResourceArns: list[str]) -> dict[str, Any]:  # noqa: N803 - the API's name
            if "goes" in ResourceArns:
                raise ClientError({"Error": {"Code": "LoadBalancerNotFound"}}, "DescribeTags")
            return {"TagDescriptions": [{"ResourceArn": each, "Tags": []} for each in ResourceArns]}

    look = Look("sweep", "run-tests", "us-east-1", ("gpu",), lambda service: LoadBalancing())
    arns = ["first", "goes", *map(str, range(25))]
    found = [each["ResourceArn"] for each in balancer_tags(look, arns)]
    assert found == [arn for arn in arns if arn != "goes"]


def test_a_service_that_did_not_answer_once_is_looked_at_again(session: Session) -> None:
    refuse(session, "ec2", "DescribeVolumes", "UnauthorizedOperation", count=2)
    assert find_leftovers(session, []).not_looked == ()
    refuse(session, "ec2", "DescribeVolumes", "UnauthorizedOperation", count=3)
    assert [each.title for each in find_leftovers(session, []).not_looked] == ["EBS volumes"]
