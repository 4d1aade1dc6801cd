"""The sweep finds what is there, of this environment and no other, and admits what it can't see."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fleet.cloud import Cloud
from fleet.listings.things import Thing
from fleet.session import Session
from fleet.sweep import LISTERS, Leftovers, Sweep, find_leftovers, sort_found, sweep
from fleet.terraform_state import StateResource
from stacks import naming
from tests.sandbox_helpers import IMAGE, admin
from tests.sweep_helpers import open_for_sweeping, tags

pytestmark = pytest.mark.sandbox


@pytest.fixture
def session(sandbox: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    """Return the session of the environment `sweep`, of which nothing exists yet."""
    yield open_for_sweeping(sandbox, tmp_path, monkeypatch)
    admin(sandbox, "DELETE", "faults")


def kinds(things: tuple[Thing, ...]) -> list[str]:
    """Return the things' kinds, sorted."""
    return sorted(thing.kind for thing in things)


def specification(kind: str, **words: str) -> list[dict[str, Any]]:
    """Return EC2's way to tag something at its creation."""
    return [{"ResourceType": kind, "Tags": tags(**words)}]


def test_an_empty_cloud_is_swept_without_a_find_and_every_service_answers(session: Session) -> None:
    found = sweep(session)
    assert (found.things, found.not_looked) == ((), ())
    assert len(LISTERS) >= 20


def test_things_of_every_kind_are_found_with_id_kind_stack_and_cost(session: Session) -> None:
    ec2, iam, s3 = session.client("ec2"), session.client("iam"), session.client("s3")
    volume = ec2.create_volume(
        Size=100,
        VolumeType="gp3",
        AvailabilityZone="us-east-1a",
        TagSpecifications=specification("volume"),
    )
    vpc = ec2.create_vpc(CidrBlock="10.8.0.0/16", TagSpecifications=specification("vpc"))["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.8.1.0/24")["Subnet"]["SubnetId"]
    address = ec2.allocate_address(Domain="vpc", TagSpecifications=specification("elastic-ip"))
    iam.create_role(RoleName="sweep-head-us-east-1", AssumeRolePolicyDocument="{}")
    iam.create_role(RoleName="sweep-two-head", AssumeRolePolicyDocument="{}")
    s3.create_bucket(Bucket="run-tests-sweep-artifacts-us-east-1")
    key = session.client("kms").create_key(
        Tags=[{"TagKey": t["Key"], "TagValue": t["Value"]} for t in tags()]
    )
    session.client("kms").schedule_key_deletion(KeyId=key["KeyMetadata"]["KeyId"], PendingWindowInDays=7)
    session.client("ssm").put_parameter(Name="/fleetform/sweep/outputs", Value="x", Type="String")
    session.client("sqs").create_queue(QueueName="stray", tags={t["Key"]: t["Value"] for t in tags()})
    try:
        found = sweep(session)
        by_id = {thing.id: thing for thing in found.things}
        assert by_id[volume["VolumeId"]].usd_per_hour == pytest.approx(100 * 0.08 / 730)
        assert by_id[address["AllocationId"]].usd_per_hour == pytest.approx(0.005)
        assert by_id[subnet].stack == "sweep-fleet", "a thing without tags belongs to its VPC's stack"
        assert by_id["sweep-head-us-east-1"].kind == "IAM role" and "sweep-two-head" not in by_id
        assert by_id["run-tests-sweep-artifacts-us-east-1"].usd_per_hour is None
        assert by_id[key["KeyMetadata"]["KeyId"]].ends_by_itself
        assert by_id["/fleetform/sweep/outputs"].kind == "SSM parameter"
        strays = [thing for thing in found.things if thing.kind.startswith("sqs")]
        assert len(strays) == 1, "what no listing covers is found by its tag"
        assert len(found.things) == len(by_id), "each thing is named once"
    finally:
        ec2.delete_volume(VolumeId=volume["VolumeId"])
        ec2.delete_subnet(SubnetId=subnet)
        ec2.delete_vpc(VpcId=vpc)
        ec2.release_address(AllocationId=address["AllocationId"])
        iam.delete_role(RoleName="sweep-head-us-east-1")
        iam.delete_role(RoleName="sweep-two-head")
        s3.delete_bucket(Bucket="run-tests-sweep-artifacts-us-east-1")
        untag = {"KeyId": key["KeyMetadata"]["KeyId"], "TagKeys": [naming.TAG_ENVIRONMENT]}
        session.client("kms").untag_resource(**untag)  # it stands for days, and in the way of other tests
        session.client("ssm").delete_parameter(Name="/fleetform/sweep/outputs")
        session.client("sqs").delete_queue(
            QueueUrl=session.client("sqs").get_queue_url(QueueName="stray")["QueueUrl"]
        )


def test_a_terminated_instance_is_no_leftover_and_a_running_one_costs(session: Session) -> None:
    ec2 = session.client("ec2")
    (started,) = ec2.run_instances(
        ImageId=IMAGE,
        MinCount=1,
        MaxCount=1,
        InstanceType="g5.xlarge",
        TagSpecifications=specification("instance"),
    )["Instances"]
    (found,) = [thing for thing in sweep(session).things if thing.kind == "EC2 instance"]
    assert (found.id, found.usd_per_hour) == (started["InstanceId"], 1.006)
    ec2.terminate_instances(InstanceIds=[started["InstanceId"]])
    assert "EC2 instance" not in kinds(sweep(session).things)


def test_what_a_kept_stack_holds_is_kept_and_the_rest_is_left(session: Session) -> None:
    ec2 = session.client("ec2")
    made = [
        ec2.create_volume(
            Size=1, AvailabilityZone="us-east-1a", TagSpecifications=specification("volume", stack=stack)
        )
        for stack in ("sweep-base", "sweep-fleet")
    ]
    try:
        found: Leftovers = find_leftovers(session, ["sweep-base"])
        assert [thing.id for thing in found.kept] == [made[0]["VolumeId"]]
        assert [thing.id for thing in found.left] == [made[1]["VolumeId"]]
        resources = [
            StateResource(address="aws_ebs_volume.x", kind="aws_ebs_volume", id=each["VolumeId"])
            for each in made
        ]
        assert find_leftovers(session, [], resources).left == ()
    finally:
        for each in made:
            ec2.delete_volume(VolumeId=each["VolumeId"])


def test_a_leftover_with_the_name_of_something_kept_is_left(session: Session) -> None:
    (started,) = session.client("ec2").run_instances(
        ImageId=IMAGE,
        MinCount=1,
        MaxCount=1,
        InstanceType="g5.xlarge",
        TagSpecifications=[
            {"ResourceType": "instance", "Tags": [*tags(), {"Key": "Name", "Value": "sweep-nodes"}]}
        ],
    )["Instances"]
    group = StateResource(
        address="aws_security_group.nodes", kind="aws_security_group", id="sg-1", name="sweep-nodes"
    )
    try:
        found = find_leftovers(session, ["sweep-base"], [group])
        assert [thing.id for thing in found.left] == [started["InstanceId"]] and not found.kept
    finally:
        session.client("ec2").terminate_instances(InstanceIds=[started["InstanceId"]])


def test_what_only_the_tagging_api_found_is_kept_by_the_end_of_its_arn_and_its_service() -> None:
    key = StateResource(address="aws_kms_key.main", kind="aws_kms_key", id="1-2")
    things = tuple(
        Thing(kind="x", id=arn, stack="sweep-base")
        for arn in ("arn:aws:kms:us-east-1:1:key/1-2", "arn:aws:sqs:us-east-1:1:1-2")
    )
    found = sort_found(Sweep(things=things, not_looked=()), (), (key,))
    assert (found.kept, found.left) == (things[:1], things[1:])
