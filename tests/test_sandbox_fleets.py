"""EC2 fleets in the embedded cloud: all or none, one zone or several, no second one for a lost answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from fleet.cloud import Cloud
from tests.sandbox_helpers import IMAGE, admin, api

pytestmark = pytest.mark.sandbox
TYPE = "c5.large"
Request = Callable[..., dict[str, Any]]
TAGS = [{"ResourceType": "instance", "Tags": [{"Key": "fleetform:fleet", "Value": "cpu"}]}]


@pytest.fixture
def subnets(sandbox: Cloud) -> dict[str, str]:
    """Subnets of the default network by their zone."""
    found = api(sandbox, "ec2").describe_subnets()["Subnets"]
    return {each["AvailabilityZone"]: each["SubnetId"] for each in found if each["DefaultForAz"]}


@pytest.fixture
def fleet(sandbox: Cloud, subnets: dict[str, str], request: pytest.FixtureRequest) -> Iterator[Request]:
    """Makes an instant fleet of a template of its own; its instances are gone after the test."""
    ec2, name = api(sandbox, "ec2"), f"fleets-{request.node.name}"[:100]
    ec2.create_launch_template(
        LaunchTemplateName=name,
        LaunchTemplateData={"ImageId": IMAGE, "InstanceType": TYPE, "TagSpecifications": TAGS},
    )
    started: set[str] = set()

    def make(count: int, zones: list[str], *, market: str = "on-demand", **more: Any) -> dict[str, Any]:
        options = {"SingleInstanceType": True, "MinTargetCapacity": count, **more.pop("options", {})}
        answer: dict[str, Any] = ec2.create_fleet(
            Type="instant",
            LaunchTemplateConfigs=[
                {
                    "LaunchTemplateSpecification": {"LaunchTemplateName": name, "Version": "$Latest"},
                    "Overrides": [{"SubnetId": subnets[zone]} for zone in zones],
                }
            ],
            TargetCapacitySpecification={"TotalTargetCapacity": count, "DefaultTargetCapacityType": market},
            **{"SpotOptions" if market == "spot" else "OnDemandOptions": options},
            **more,
        )
        started.update(ids(answer))
        return answer

    yield make
    admin(sandbox, "DELETE", "capacity")
    admin(sandbox, "DELETE", "faults")
    filters = [{"Name": "instance-state-name", "Values": ["running"]}]
    alive = started & {
        each["InstanceId"]
        for group in ec2.describe_instances(Filters=filters)["Reservations"]
        for each in group["Instances"]
    }
    if alive:
        ec2.terminate_instances(InstanceIds=sorted(alive))
    ec2.delete_launch_template(LaunchTemplateName=name)


def ids(answer: dict[str, Any]) -> list[str]:
    return [name for each in answer["Instances"] for name in each["InstanceIds"]]


def described(cloud: Cloud, answer: dict[str, Any]) -> list[dict[str, Any]]:
    found = api(cloud, "ec2").describe_instances(InstanceIds=ids(answer))
    return [each for reservation in found["Reservations"] for each in reservation["Instances"]]


def limit(cloud: Cloud, count: int, **kind: str) -> None:
    admin(cloud, "POST", "capacity", {"instance_type": TYPE, "count": count, **kind})


def test_instances_carry_the_templates_tags_and_those_of_the_request(sandbox: Cloud, fleet: Request) -> None:
    tags = [{"ResourceType": "instance", "Tags": [{"Key": "fleetform:launch", "Value": "one"}]}]
    found = described(sandbox, fleet(2, ["us-east-1b"], TagSpecifications=tags))
    assert [each["Placement"]["AvailabilityZone"] for each in found] == ["us-east-1b"] * 2
    for each in found:
        shown = {tag["Key"]: tag["Value"] for tag in each["Tags"]}
        assert {"fleetform:fleet": "cpu", "fleetform:launch": "one"}.items() <= shown.items()


def test_fewer_than_the_smallest_number_are_none(sandbox: Cloud, fleet: Request) -> None:
    limit(sandbox, 2)
    answer = fleet(3, ["us-east-1a"])
    assert answer["Instances"] == []
    assert [each["ErrorCode"] for each in answer["Errors"]] == ["InsufficientInstanceCapacity"]
    assert len(ids(fleet(2, ["us-east-1a"]))) == 2


def test_without_a_smallest_number_a_fleet_is_partial(sandbox: Cloud, fleet: Request) -> None:
    limit(sandbox, 2)
    answer = fleet(3, ["us-east-1a"], options={"MinTargetCapacity": 1})
    assert (len(ids(answer)), len(answer["Errors"])) == (2, 1)


def test_a_zone_without_capacity_is_passed_over(sandbox: Cloud, fleet: Request) -> None:
    limit(sandbox, 1, zone="us-east-1a")
    answer = fleet(3, ["us-east-1a", "us-east-1b"], options={"SingleAvailabilityZone": True})
    zones = {each["Placement"]["AvailabilityZone"] for each in described(sandbox, answer)}
    assert (len(ids(answer)), zones) == (3, {"us-east-1b"})


def test_several_zones_fill_up_what_one_lacks(sandbox: Cloud, fleet: Request) -> None:
    limit(sandbox, 1, zone="us-east-1a")
    zones = [
        each["Placement"]["AvailabilityZone"]
        for each in described(sandbox, fleet(3, ["us-east-1a", "us-east-1b"]))
    ]
    assert sorted(zones) == ["us-east-1a", "us-east-1b", "us-east-1b"]


def test_spot_capacity_is_apart_from_that_on_demand(sandbox: Cloud, fleet: Request) -> None:
    limit(sandbox, 0, market="spot")
    assert fleet(1, ["us-east-1a"], market="spot")["Instances"] == []
    [node] = described(sandbox, fleet(1, ["us-east-1a"]))
    assert "InstanceLifecycle" not in node
    admin(sandbox, "DELETE", "capacity")
    [node] = described(sandbox, fleet(1, ["us-east-1a"], market="spot"))
    assert node["InstanceLifecycle"] == "spot"


def test_the_same_token_starts_nothing_twice(sandbox: Cloud, fleet: Request) -> None:
    first = fleet(1, ["us-east-1a"], ClientToken="token-of-a-test")
    assert ids(fleet(1, ["us-east-1a"], ClientToken="token-of-a-test")) == ids(first)
    with pytest.raises(ClientError, match="IdempotentParameterMismatch"):
        fleet(2, ["us-east-1a"], ClientToken="token-of-a-test")


def test_a_smallest_number_needs_one_type_or_one_zone(fleet: Request) -> None:
    with pytest.raises(ClientError, match="MinTargetCapacity requires"):
        fleet(1, ["us-east-1a"], options={"SingleInstanceType": False})


def test_what_fleets_started_is_on_record_after_its_end(sandbox: Cloud, fleet: Request) -> None:
    [name] = ids(fleet(1, ["us-east-1a"]))
    [began] = [each for each in admin(sandbox, "GET", "fleets") if each["instance_id"] == name]
    api(sandbox, "ec2").terminate_instances(InstanceIds=[name])
    [ended] = [each for each in admin(sandbox, "GET", "fleets") if each["instance_id"] == name]
    assert "ended" not in began
    assert ended["ended"] >= ended["began"]
