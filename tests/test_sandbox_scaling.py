"""Auto Scaling in the embedded cloud: instances as the template says, and failures that are told."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from fleet.cloud import Cloud
from tests.sandbox_helpers import IMAGE, admin, api

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


def test_user_data_of_a_template_is_what_was_given(sandbox: Cloud) -> None:
    text = base64.b64encode(b"#!/bin/sh\n").decode()
    ec2 = api(sandbox, "ec2")
    ec2.create_launch_template(LaunchTemplateName="given", LaunchTemplateData={"UserData": text})
    [version] = ec2.describe_launch_template_versions(LaunchTemplateName="given")["LaunchTemplateVersions"]
    assert version["LaunchTemplateData"]["UserData"] == text
