"""What else the embedded cloud adds to moto, one claim for each extension."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from fleet import aws
from fleet.cloud import Cloud
from tests.sandbox_helpers import REGION, api

pytestmark = pytest.mark.sandbox
TAG = {"Key": "extension", "Value": "tests"}


def tagged(kind: str) -> list[dict[str, Any]]:
    return [{"ResourceType": kind, "Tags": [TAG]}]


def test_placement_groups_live_as_in_the_cloud(sandbox: Cloud) -> None:
    ec2 = api(sandbox, "ec2")
    made = ec2.create_placement_group(
        GroupName="pg", Strategy="partition", PartitionCount=3, TagSpecifications=tagged("placement-group")
    )["PlacementGroup"]
    assert (made["State"], made["PartitionCount"], made["Tags"]) == ("available", 3, [TAG])
    with pytest.raises(ClientError, match=r"InvalidPlacementGroup\.Duplicate"):
        ec2.create_placement_group(GroupName="pg", Strategy="cluster")
    found = ec2.describe_placement_groups(Filters=[{"Name": "tag:extension", "Values": ["tests"]}])
    assert [each["GroupName"] for each in found["PlacementGroups"]] == ["pg"]
    ec2.delete_placement_group(GroupName="pg")
    with pytest.raises(ClientError, match=r"InvalidPlacementGroup\.Unknown"):
        ec2.describe_placement_groups(GroupNames=["pg"])


def test_capacity_reservations_live_as_in_the_cloud(sandbox: Cloud) -> None:
    ec2 = api(sandbox, "ec2")
    made = ec2.create_capacity_reservation(
        InstanceType="p5.48xlarge",
        InstancePlatform="Linux/UNIX",
        AvailabilityZone=f"{REGION}a",
        InstanceCount=2,
    )["CapacityReservation"]
    wanted = {"CapacityReservationIds": [made["CapacityReservationId"]]}
    ec2.modify_capacity_reservation(CapacityReservationId=made["CapacityReservationId"], InstanceCount=3)
    [found] = ec2.describe_capacity_reservations(**wanted)["CapacityReservations"]
    assert (found["State"], found["TotalInstanceCount"]) == ("active", 3)
    ec2.cancel_capacity_reservation(CapacityReservationId=made["CapacityReservationId"])
    [found] = ec2.describe_capacity_reservations(**wanted)["CapacityReservations"]
    assert found["State"] == "cancelled"


def test_every_rule_of_a_security_group_keeps_its_description(sandbox: Cloud) -> None:
    ec2 = api(sandbox, "ec2")
    group_id = ec2.create_security_group(GroupName="described", Description="x")["GroupId"]
    permission = {
        "IpProtocol": "-1",
        "UserIdGroupPairs": [{"GroupId": group_id, "Description": "among themselves"}],
    }
    [rule] = ec2.authorize_security_group_ingress(GroupId=group_id, IpPermissions=[permission])[
        "SecurityGroupRules"
    ]
    wanted = {"SecurityGroupRuleIds": [rule["SecurityGroupRuleId"]]}
    assert (
        ec2.describe_security_group_rules(**wanted)["SecurityGroupRules"][0]["Description"]
        == "among themselves"
    )
    changed = {"IpProtocol": "-1", "ReferencedGroupId": group_id, "Description": "new"}
    ec2.modify_security_group_rules(
        GroupId=group_id,
        SecurityGroupRules=[
            {"SecurityGroupRuleId": rule["SecurityGroupRuleId"], "SecurityGroupRule": changed}
        ],
    )
    assert ec2.describe_security_group_rules(**wanted)["SecurityGroupRules"][0]["Description"] == "new"


def test_the_name_of_a_deep_learning_image_resolves_to_an_image(sandbox: Cloud) -> None:
    name = "/aws/service/deeplearning/ami/x86_64/oss-nvidia-driver-gpu-pytorch-2.7-ubuntu-22.04/latest/ami-id"
    image = api(sandbox, "ssm").get_parameter(Name=name)["Parameter"]["Value"]
    [found] = api(sandbox, "ec2").describe_images(ImageIds=[image])["Images"]
    assert (found["Architecture"], found["RootDeviceName"]) == ("x86_64", "/dev/sda1")
    with pytest.raises(ClientError, match="ParameterNotFound"):
        api(sandbox, "ssm").get_parameter(Name="/aws/service/deeplearning/ami/x86_64/latest")


def test_a_keys_rotation_period_is_kept_and_its_deletion_waits(sandbox: Cloud) -> None:
    kms = api(sandbox, "kms")
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    kms.enable_key_rotation(KeyId=key, RotationPeriodInDays=200)
    assert kms.get_key_rotation_status(KeyId=key)["RotationPeriodInDays"] == 200
    kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)
    assert kms.describe_key(KeyId=key)["KeyMetadata"]["KeyState"] == "PendingDeletion"


def test_managed_policies_exist(sandbox: Cloud) -> None:
    arn = "arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore"
    assert api(sandbox, "iam").get_policy(PolicyArn=arn)["Policy"]["Arn"] == arn


def test_a_lustre_file_system_becomes_available_and_goes(sandbox: Cloud) -> None:
    fsx = api(sandbox, "fsx")
    made = fsx.create_file_system(
        FileSystemType="LUSTRE",
        StorageCapacity=1200,
        SubnetIds=[api(sandbox, "ec2").describe_subnets()["Subnets"][0]["SubnetId"]],
        LustreConfiguration={"DeploymentType": "PERSISTENT_2", "PerUnitStorageThroughput": 250},
    )["FileSystem"]
    assert (made["Lifecycle"], made["LustreConfiguration"]["MountName"]) == ("AVAILABLE", "fsx")
    association = fsx.create_data_repository_association(
        FileSystemId=made["FileSystemId"], FileSystemPath="/data", DataRepositoryPath="s3://data", Tags=[TAG]
    )["Association"]
    assert (association["Lifecycle"], association["Tags"]) == ("AVAILABLE", [TAG])
    changed = fsx.update_file_system(
        FileSystemId=made["FileSystemId"], LustreConfiguration={"DataCompressionType": "LZ4"}
    )["FileSystem"]
    assert changed["LustreConfiguration"]["DataCompressionType"] == "LZ4"
    fsx.delete_data_repository_association(AssociationId=association["AssociationId"])
    filters = [{"Name": "file-system-id", "Values": [made["FileSystemId"]]}]
    assert fsx.describe_data_repository_associations(Filters=filters)["Associations"] == []
    assert fsx.delete_file_system(FileSystemId=made["FileSystemId"])["Lifecycle"] == "DELETING"
    found = fsx.describe_file_systems()["FileSystems"]
    assert made["FileSystemId"] not in [each["FileSystemId"] for each in found]


def test_a_trail_is_found_by_its_name_alone_among_several(sandbox: Cloud) -> None:
    trails, s3 = api(sandbox, "cloudtrail"), api(sandbox, "s3")
    s3.create_bucket(Bucket="trails-by-name")
    made = {}
    for name in ("first-by-name", "second-by-name"):
        made[name] = trails.create_trail(Name=name, S3BucketName="trails-by-name", IsMultiRegionTrail=True)
    for wanted in ("first-by-name", made["first-by-name"]["TrailARN"]):
        found = trails.describe_trails(trailNameList=[wanted])["trailList"]
        assert [trail["Name"] for trail in found] == ["first-by-name"]
    assert {trail["Name"] for trail in trails.describe_trails()["trailList"]} >= set(made)
    elsewhere = aws.client(sandbox, "cloudtrail", "eu-west-1").describe_trails
    assert elsewhere(trailNameList=["first-by-name"])["trailList"] == []
    for name in made:
        trails.delete_trail(Name=name)
