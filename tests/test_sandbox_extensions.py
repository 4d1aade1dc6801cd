"""What the embedded cloud adds to moto, one claim for each extension."""

from __future__ import annotations

import base64
import json
import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from fleet.cloud import Cloud
from tests.sandbox_helpers import IMAGE, REGION, admin, api

pytestmark = pytest.mark.sandbox
TAG = {"Key": "extension", "Value": "tests"}


def tagged(kind: str) -> list[dict[str, Any]]:
    return [{"ResourceType": kind, "Tags": [TAG]}]


@pytest.fixture
def subnets(sandbox: Cloud) -> list[str]:
    found = api(sandbox, "ec2").describe_subnets()["Subnets"]
    return sorted(subnet["SubnetId"] for subnet in found if subnet["DefaultForAz"])[:2]


@pytest.fixture
def group(sandbox: Cloud, subnets: list[str]) -> Iterator[str]:
    """An Auto Scaling group of two, from a template with all that moto leaves out."""
    ec2, iam, scaling = (api(sandbox, service) for service in ("ec2", "iam", "autoscaling"))
    iam.create_instance_profile(InstanceProfileName="extension")
    ec2.create_placement_group(GroupName="extension", Strategy="cluster")
    ec2.create_launch_template(
        LaunchTemplateName="extension",
        LaunchTemplateData={
            "ImageId": IMAGE,
            "InstanceType": "p4d.24xlarge",
            "IamInstanceProfile": {"Name": "extension"},
            "Placement": {"GroupName": "extension"},
            "MetadataOptions": {"HttpTokens": "required", "HttpPutResponseHopLimit": 1},
            "NetworkInterfaces": [
                {"DeviceIndex": int(card > 0), "NetworkCardIndex": card, "InterfaceType": "efa"}
                for card in range(4)
            ],
            "BlockDeviceMappings": [
                {"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": 100, "Encrypted": True}}
            ],
            "TagSpecifications": tagged("instance") + tagged("volume"),
        },
        TagSpecifications=tagged("launch-template"),
    )
    scaling.create_auto_scaling_group(
        AutoScalingGroupName="extension",
        MinSize=0,
        MaxSize=4,
        DesiredCapacity=2,
        VPCZoneIdentifier=",".join(subnets),
        LaunchTemplate={"LaunchTemplateName": "extension", "Version": "$Latest"},
    )
    yield "extension"
    admin(sandbox, "DELETE", "faults")
    scaling.delete_auto_scaling_group(AutoScalingGroupName="extension", ForceDelete=True)
    ec2.delete_launch_template(LaunchTemplateName="extension")
    ec2.delete_placement_group(GroupName="extension")
    iam.delete_instance_profile(InstanceProfileName="extension")


def instances_of(cloud: Cloud, group: str) -> list[dict[str, Any]]:
    filters = [
        {"Name": "tag:aws:autoscaling:groupName", "Values": [group]},
        {"Name": "instance-state-name", "Values": ["running"]},
    ]
    answer = api(cloud, "ec2").describe_instances(Filters=filters)
    return [instance for reservation in answer["Reservations"] for instance in reservation["Instances"]]


def test_a_groups_instances_are_what_its_template_says(
    sandbox: Cloud, group: str, subnets: list[str]
) -> None:
    instances = instances_of(sandbox, group)
    assert len(instances) == 2
    assert {instance["SubnetId"] for instance in instances} == set(subnets)
    for instance in instances:
        assert instance["IamInstanceProfile"]["Arn"].endswith(":instance-profile/extension")
        assert instance["Placement"]["GroupName"] == "extension"
        assert instance["MetadataOptions"]["HttpTokens"] == "required"
        assert len(instance["NetworkInterfaces"]) == 4
        assert TAG in instance["Tags"]
        [mapping] = instance["BlockDeviceMappings"]
        [volume] = api(sandbox, "ec2").describe_volumes(VolumeIds=[mapping["Ebs"]["VolumeId"]])["Volumes"]
        assert (volume["Size"], volume["Encrypted"], volume["Tags"]) == (100, True, [TAG])


def test_nothing_of_an_instance_outlives_it(sandbox: Cloud, group: str) -> None:
    instance = instances_of(sandbox, group)[0]
    ec2 = api(sandbox, "ec2")
    api(sandbox, "autoscaling").terminate_instance_in_auto_scaling_group(
        InstanceId=instance["InstanceId"], ShouldDecrementDesiredCapacity=True
    )
    interfaces = [each["NetworkInterfaceId"] for each in instance["NetworkInterfaces"]]
    volumes = [each["Ebs"]["VolumeId"] for each in instance["BlockDeviceMappings"]]
    assert not set(interfaces) & {
        each["NetworkInterfaceId"] for each in ec2.describe_network_interfaces()["NetworkInterfaces"]
    }
    assert not set(volumes) & {each["VolumeId"] for each in ec2.describe_volumes()["Volumes"]}


def test_a_zone_without_capacity_is_a_failed_activity(sandbox: Cloud, group: str) -> None:
    scaling = api(sandbox, "autoscaling")
    rule = {
        "service": "ec2",
        "action": "RunInstances",
        "resource": "p4d.24xlarge",
        "code": "InsufficientInstanceCapacity",
    }
    admin(sandbox, "POST", "faults", {**rule, "message": "no p4d.24xlarge here."})
    scaling.set_desired_capacity(AutoScalingGroupName=group, DesiredCapacity=3)
    latest = scaling.describe_scaling_activities(AutoScalingGroupName=group)["Activities"][0]
    assert (latest["StatusCode"], latest["StatusMessage"].split(".")[0]) == ("Failed", "no p4d")
    assert len(instances_of(sandbox, group)) == 2
    admin(sandbox, "DELETE", "faults")
    scaling.set_desired_capacity(AutoScalingGroupName=group, DesiredCapacity=3)
    assert len(instances_of(sandbox, group)) == 3


def test_a_templates_own_tags_stay_out_of_its_versions(sandbox: Cloud, group: str) -> None:
    [version] = api(sandbox, "ec2").describe_launch_template_versions(LaunchTemplateName=group)[
        "LaunchTemplateVersions"
    ]
    kinds = [each["ResourceType"] for each in version["LaunchTemplateData"]["TagSpecifications"]]
    assert kinds == ["instance", "volume"]


def test_a_placement_group_in_use_cannot_be_deleted(sandbox: Cloud, group: str) -> None:
    with pytest.raises(ClientError, match=r"InvalidPlacementGroup\.InUse"):
        api(sandbox, "ec2").delete_placement_group(GroupName=group)


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


def test_a_keys_rotation_period_is_kept_and_its_deletion_waits(sandbox: Cloud) -> None:
    kms = api(sandbox, "kms")
    key = kms.create_key()["KeyMetadata"]["KeyId"]
    kms.enable_key_rotation(KeyId=key, RotationPeriodInDays=200)
    assert kms.get_key_rotation_status(KeyId=key)["RotationPeriodInDays"] == 200
    kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)
    assert kms.describe_key(KeyId=key)["KeyMetadata"]["KeyState"] == "PendingDeletion"


def test_the_tagging_api_lists_what_we_added(sandbox: Cloud, group: str) -> None:
    ec2 = api(sandbox, "ec2")
    ec2.create_tags(
        Resources=[ec2.describe_placement_groups(GroupNames=[group])["PlacementGroups"][0]["GroupId"]],
        Tags=[TAG],
    )
    pages = api(sandbox, "resourcegroupstaggingapi").get_paginator("get_resources")
    filters = [{"Key": TAG["Key"], "Values": [TAG["Value"]]}]
    arns = [
        each["ResourceARN"]
        for page in pages.paginate(TagFilters=filters)
        for each in page["ResourceTagMappingList"]
    ]
    kinds = {arn.split(":")[5].split("/")[0] for arn in arns}
    assert {"placement-group", "launch-template", "instance", "volume"} <= kinds


def test_managed_policies_exist(sandbox: Cloud) -> None:
    arn = "arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore"
    assert api(sandbox, "iam").get_policy(PolicyArn=arn)["Policy"]["Arn"] == arn


def test_user_data_of_a_template_is_what_was_given(sandbox: Cloud) -> None:
    text = base64.b64encode(b"#!/bin/sh\n").decode()
    ec2 = api(sandbox, "ec2")
    ec2.create_launch_template(LaunchTemplateName="given", LaunchTemplateData={"UserData": text})
    [version] = ec2.describe_launch_template_versions(LaunchTemplateName="given")["LaunchTemplateVersions"]
    assert version["LaunchTemplateData"]["UserData"] == text


def test_a_lustre_file_system_becomes_available_and_goes(sandbox: Cloud, subnets: list[str]) -> None:
    fsx = api(sandbox, "fsx")
    made = fsx.create_file_system(
        FileSystemType="LUSTRE",
        StorageCapacity=1200,
        SubnetIds=subnets[:1],
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
