"""How the embedded cloud's groups buy instances: spot by share, reserved capacity until it is used up."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from fleet.cloud import Cloud
from tests.sandbox_helpers import IMAGE, api

pytestmark = pytest.mark.sandbox
Group = Callable[..., str]


@pytest.fixture
def subnets(sandbox: Cloud) -> dict[str, str]:
    """Two subnets of the default network by their zone."""
    found = api(sandbox, "ec2").describe_subnets()["Subnets"]
    return {each["AvailabilityZone"]: each["SubnetId"] for each in found if each["DefaultForAz"]}


@pytest.fixture
def group(sandbox: Cloud, subnets: dict[str, str]) -> Iterator[Group]:
    """Makes a group from a template with this further data; both are gone after the test."""
    ec2, scaling, made = api(sandbox, "ec2"), api(sandbox, "autoscaling"), []

    def make(
        name: str, size: int, zones: list[str], policy: dict[str, Any] | None = None, **data: Any
    ) -> str:
        ec2.create_launch_template(
            LaunchTemplateName=name,
            LaunchTemplateData={"ImageId": IMAGE, "InstanceType": "p5.48xlarge", **data},
        )
        template = {"LaunchTemplateName": name, "Version": "$Latest"}
        started_from: dict[str, Any] = {"LaunchTemplate": template}
        if policy is not None:
            mixed = {
                "LaunchTemplate": {"LaunchTemplateSpecification": template},
                "InstancesDistribution": policy,
            }
            started_from = {"MixedInstancesPolicy": mixed}
        scaling.create_auto_scaling_group(
            AutoScalingGroupName=name,
            MinSize=0,
            MaxSize=8,
            DesiredCapacity=size,
            VPCZoneIdentifier=",".join(subnets[zone] for zone in zones),
            **started_from,
        )
        made.append(name)
        return name

    yield make
    for name in made:
        scaling.delete_auto_scaling_group(AutoScalingGroupName=name, ForceDelete=True)
        ec2.delete_launch_template(LaunchTemplateName=name)


def instances_of(cloud: Cloud, group: str) -> list[dict[str, Any]]:
    filters = [
        {"Name": "tag:aws:autoscaling:groupName", "Values": [group]},
        {"Name": "instance-state-name", "Values": ["running"]},
    ]
    answer = api(cloud, "ec2").describe_instances(Filters=filters)
    return [each for reservation in answer["Reservations"] for each in reservation["Instances"]]


def latest_activity(cloud: Cloud, group: str) -> str:
    activity = api(cloud, "autoscaling").describe_scaling_activities(AutoScalingGroupName=group)[
        "Activities"
    ][0]
    return f"{activity['StatusCode']}: {activity['StatusMessage']}"


def reserve(cloud: Cloud, count: int, zone: str = "us-east-1b") -> str:
    """Make a reservation of p5.48xlarge and return its id."""
    answer = api(cloud, "ec2").create_capacity_reservation(
        InstanceType="p5.48xlarge",
        InstancePlatform="Linux/UNIX",
        AvailabilityZone=zone,
        InstanceCount=count,
        InstanceMatchCriteria="targeted",
    )
    return str(answer["CapacityReservation"]["CapacityReservationId"])


def free(cloud: Cloud, reservation: str) -> int:
    [found] = api(cloud, "ec2").describe_capacity_reservations(CapacityReservationIds=[reservation])[
        "CapacityReservations"
    ]
    return int(found["AvailableInstanceCount"])


def targeted(reservation: str) -> dict[str, Any]:
    return {
        "CapacityReservationSpecification": {
            "CapacityReservationTarget": {"CapacityReservationId": reservation}
        }
    }


SPOT = {"OnDemandBaseCapacity": 1, "OnDemandPercentageAboveBaseCapacity": 0}


def test_a_group_with_a_base_is_spot_above_it_and_spread_over_its_zones(sandbox: Cloud, group: Group) -> None:
    found = instances_of(sandbox, group("spread", 5, ["us-east-1a", "us-east-1b", "us-east-1c"], SPOT))
    assert (
        sorted(each.get("InstanceLifecycle", "on demand") for each in found) == ["on demand"] + ["spot"] * 4
    )
    zones = sorted(each["Placement"]["AvailabilityZone"] for each in found)
    assert zones == ["us-east-1a"] * 2 + ["us-east-1b"] * 2 + ["us-east-1c"]


def test_half_above_the_base_means_half(sandbox: Cloud, group: Group) -> None:
    half = {"OnDemandBaseCapacity": 0, "OnDemandPercentageAboveBaseCapacity": 50}
    found = instances_of(sandbox, group("half", 4, ["us-east-1a"], half))
    assert sum(each.get("InstanceLifecycle") == "spot" for each in found) == 2


def test_a_group_shows_its_policy_alone_and_keeps_it_when_its_size_changes(
    sandbox: Cloud, group: Group
) -> None:
    name, scaling = group("kept", 1, ["us-east-1a"], SPOT), api(sandbox, "autoscaling")
    scaling.update_auto_scaling_group(AutoScalingGroupName=name, DesiredCapacity=2)
    [shown] = scaling.describe_auto_scaling_groups(AutoScalingGroupNames=[name])["AutoScalingGroups"]
    assert shown["MixedInstancesPolicy"]["InstancesDistribution"]["OnDemandBaseCapacity"] == 1
    assert "LaunchTemplate" not in shown
    lifecycles = {each.get("InstanceLifecycle") for each in instances_of(sandbox, name)}
    assert lifecycles == {None, "spot"}


def test_a_group_may_go_from_a_policy_to_a_template(sandbox: Cloud, group: Group) -> None:
    name, scaling = group("changed", 1, ["us-east-1a"], SPOT), api(sandbox, "autoscaling")
    template = {"LaunchTemplateName": name, "Version": "$Latest"}
    scaling.update_auto_scaling_group(AutoScalingGroupName=name, LaunchTemplate=template)
    [shown] = scaling.describe_auto_scaling_groups(AutoScalingGroupNames=[name])["AutoScalingGroups"]
    assert shown["LaunchTemplate"]["LaunchTemplateName"] == name
    assert "MixedInstancesPolicy" not in shown


def test_reserved_capacity_is_used_up_and_given_back(sandbox: Cloud, group: Group) -> None:
    reservation, scaling = reserve(sandbox, 2), api(sandbox, "autoscaling")
    name = group("reserved", 3, ["us-east-1b"], **targeted(reservation))
    found = instances_of(sandbox, name)
    assert [each["CapacityReservationId"] for each in found] == [reservation] * 2
    assert "sufficient compatible and available capacity" in latest_activity(sandbox, name)
    assert free(sandbox, reservation) == 0
    scaling.terminate_instance_in_auto_scaling_group(
        InstanceId=found[0]["InstanceId"], ShouldDecrementDesiredCapacity=True
    )
    scaling.set_desired_capacity(AutoScalingGroupName=name, DesiredCapacity=1)
    assert free(sandbox, reservation) == 1


def test_a_reservation_of_another_zone_has_no_room(sandbox: Cloud, group: Group) -> None:
    name = group("elsewhere", 1, ["us-east-1a"], **targeted(reserve(sandbox, 2, "us-east-1b")))
    assert instances_of(sandbox, name) == []
    assert latest_activity(sandbox, name).startswith("Failed: The requested reservation does not have")


def test_a_reservation_that_is_not_there_starts_nothing(sandbox: Cloud, group: Group) -> None:
    name = group("none", 1, ["us-east-1a"], **targeted("cr-0123456789abcdef0"))
    assert "cr-0123456789abcdef0' does not exist" in latest_activity(sandbox, name)


def bought(cloud: Cloud, start: datetime.timedelta) -> str:
    """Buy a capacity block of two that begins so long from now, for a day, and return its id."""
    ec2 = api(cloud, "ec2")
    [offer] = ec2.describe_capacity_block_offerings(
        InstanceType="p5.48xlarge",
        InstanceCount=2,
        CapacityDurationHours=24,
        StartDateRange=datetime.datetime.now(datetime.UTC) + start,
    )["CapacityBlockOfferings"]
    answer = ec2.purchase_capacity_block(
        CapacityBlockOfferingId=offer["CapacityBlockOfferingId"], InstancePlatform="Linux/UNIX"
    )
    return str(answer["CapacityReservation"]["CapacityReservationId"])


BLOCK = {"InstanceMarketOptions": {"MarketType": "capacity-block"}}


def test_a_capacity_block_gives_capacity_in_its_time(sandbox: Cloud, group: Group) -> None:
    now = bought(sandbox, -datetime.timedelta(hours=1))
    [node] = instances_of(sandbox, group("block", 1, ["us-east-1a"], **targeted(now), **BLOCK))
    assert (node["InstanceLifecycle"], node["CapacityReservationId"]) == ("capacity-block", now)
    later = bought(sandbox, datetime.timedelta(days=2))
    name = group("early", 1, ["us-east-1a"], **targeted(later), **BLOCK)
    assert f"{later}' is scheduled" in latest_activity(sandbox, name)


def test_a_block_is_not_given_to_a_template_that_does_not_say_so(sandbox: Cloud, group: Group) -> None:
    block = bought(sandbox, -datetime.timedelta(hours=1))
    assert "does not go with" in latest_activity(
        sandbox, group("plain", 1, ["us-east-1a"], **targeted(block))
    )


def test_every_interface_of_a_template_is_there_and_is_what_it_says(sandbox: Cloud, group: Group) -> None:
    interfaces = [{"NetworkCardIndex": 0, "DeviceIndex": 0, "InterfaceType": "interface"}]
    interfaces += [
        {"NetworkCardIndex": card, "DeviceIndex": int(card == 0), "InterfaceType": "efa-only"}
        for card in range(32)
    ]
    [node] = instances_of(sandbox, group("fabric", 1, ["us-east-1a"], NetworkInterfaces=interfaces))
    kinds = [each["InterfaceType"] for each in node["NetworkInterfaces"]]
    assert sorted(kinds) == ["efa-only"] * 32 + ["interface"]
