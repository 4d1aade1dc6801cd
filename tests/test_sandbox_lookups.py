"""What the embedded cloud looks up quicker than moto is what moto would have found."""

from __future__ import annotations

from typing import Any

import pytest

from fleet.cloud import Cloud
from tests.sandbox_helpers import IMAGE, api

pytestmark = pytest.mark.sandbox


def volume(cloud: Cloud, **tags: str) -> str:
    """Make a volume with these tags and return its id."""
    named = [{"Key": key, "Value": value} for key, value in tags.items()]
    made = api(cloud, "ec2").create_volume(
        Size=1, AvailabilityZone="us-east-1a", TagSpecifications=[{"ResourceType": "volume", "Tags": named}]
    )
    return str(made["VolumeId"])


def listed(cloud: Cloud, **filters: str) -> set[str]:
    """Return the ids of the volumes that pass the filters."""
    wanted = [{"Name": name.replace("__", ":"), "Values": [value]} for name, value in filters.items()]
    return {each["VolumeId"] for each in api(cloud, "ec2").describe_volumes(Filters=wanted)["Volumes"]}


def as_pairs(tags: list[dict[str, Any]]) -> dict[str, str]:
    return {each["Key"]: each["Value"] for each in tags}


def test_a_resource_has_the_tags_that_it_was_given_and_no_others(sandbox: Cloud) -> None:
    ec2 = api(sandbox, "ec2")
    one, other = volume(sandbox, lookup="one", mine="yes"), volume(sandbox, lookup="other")
    try:
        shown = {
            each["VolumeId"]: as_pairs(each["Tags"])
            for each in ec2.describe_volumes(VolumeIds=[one, other])["Volumes"]
        }
        assert shown == {one: {"lookup": "one", "mine": "yes"}, other: {"lookup": "other"}}
        for each, tags in shown.items():
            found = ec2.describe_tags(Filters=[{"Name": "resource-id", "Values": [each]}])["Tags"]
            assert as_pairs(found) == tags
            assert {(tag["ResourceId"], tag["ResourceType"]) for tag in found} == {(each, "volume")}
        ec2.delete_tags(Resources=[one], Tags=[{"Key": "mine"}])
        ec2.create_tags(Resources=[one], Tags=[{"Key": "lookup", "Value": "two"}])
        (changed,) = ec2.describe_volumes(VolumeIds=[one])["Volumes"]
        assert as_pairs(changed["Tags"]) == {"lookup": "two"}
    finally:
        for each in (one, other):
            ec2.delete_volume(VolumeId=each)


def test_filters_find_by_tag_by_its_name_and_by_a_pattern(sandbox: Cloud) -> None:
    one, other, bare = (
        volume(sandbox, looked="up-one"),
        volume(sandbox, looked="up-two"),
        volume(sandbox, a="b"),
    )
    try:
        assert listed(sandbox, tag__looked="up-one") == {one}
        assert listed(sandbox, tag__looked="up-*") == {one, other}
        assert listed(sandbox, **{"tag-key": "looked"}) == {one, other}
        assert bare not in listed(sandbox, tag__looked="*")
    finally:
        for each in (one, other, bare):
            api(sandbox, "ec2").delete_volume(VolumeId=each)


def test_machine_images_are_those_that_public_parameters_name_but_for_the_containers(sandbox: Cloud) -> None:
    name = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64"
    latest = api(sandbox, "ssm").get_parameter(Name=name)["Parameter"]["Value"]
    images = {each["ImageId"] for each in api(sandbox, "ec2").describe_images(Owners=["amazon"])["Images"]}
    assert {latest, IMAGE} <= images
    assert len(images) < 200, "a region begins within an instant: it does without the thousand of ECS"


def test_calls_of_every_kind_find_their_service(sandbox: Cloud) -> None:
    """By their action, by their target, by their path; an action of an extension's own, too."""
    assert api(sandbox, "sts").get_caller_identity()["Account"] == "123456789012"
    assert "Keys" in api(sandbox, "kms").list_keys()
    assert "Functions" in api(sandbox, "lambda").list_functions()
    assert api(sandbox, "cloudtrail").list_public_keys()["PublicKeyList"]


def test_a_key_acts_in_the_account_that_it_was_made_in(sandbox: Cloud) -> None:
    user = api(sandbox, "iam")
    user.create_user(UserName="looked-up")
    key = user.create_access_key(UserName="looked-up")["AccessKey"]
    allowed = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}'
    user.put_user_policy(UserName="looked-up", PolicyName="all", PolicyDocument=allowed)
    own = {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}
    theirs = Cloud(sandbox.name, {**sandbox.variables, **own})
    assert api(theirs, "sts").get_caller_identity()["Arn"].endswith("123456789012:user/looked-up")
