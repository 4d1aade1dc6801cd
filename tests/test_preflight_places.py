"""The live guardrails on zones, reserved capacity and images, against the sandbox over HTTP."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from fleet.aws import client
from fleet.cloud import Cloud
from fleet.preflights.images import images_are_supported, images_are_there, images_suit_their_machines
from fleet.preflights.places import types_are_offered, types_are_offered_everywhere, zones_are_there
from fleet.preflights.reservations import (
    reservations_are_free,
    reservations_fit,
    reservations_stand,
    reservations_stand_for_later,
)
from tests.live_cases import answered, found, live_case
from tests.sandbox_helpers import IMAGE

pytestmark = pytest.mark.sandbox
REGION = "us-east-1"
P5: dict[str, Any] = {"instance_type": "p5.48xlarge", "nodes": 2, "max_nodes": 2}
NOW = datetime.datetime.now(datetime.UTC)


def reserve(cloud: Cloud, count: int = 2, **settings: Any) -> str:
    """Make a reservation of p5.48xlarge and return its id."""
    answer = client(cloud, "ec2", REGION).create_capacity_reservation(
        **{
            "InstanceType": "p5.48xlarge",
            "InstancePlatform": "Linux/UNIX",
            "AvailabilityZone": "us-east-1a",
            "InstanceCount": count,
            "InstanceMatchCriteria": "targeted",
            **settings,
        }
    )
    return str(answer["CapacityReservation"]["CapacityReservationId"])


def buy_block(cloud: Cloud, start: datetime.datetime, hours: int = 24, count: int = 2) -> str:
    """Buy a capacity block of p5.48xlarge and return its id."""
    ec2 = client(cloud, "ec2", REGION)
    [offer] = ec2.describe_capacity_block_offerings(
        InstanceType="p5.48xlarge", InstanceCount=count, CapacityDurationHours=hours, StartDateRange=start
    )["CapacityBlockOfferings"]
    bought = ec2.purchase_capacity_block(
        CapacityBlockOfferingId=offer["CapacityBlockOfferingId"], InstancePlatform="Linux/UNIX"
    )
    return str(bought["CapacityReservation"]["CapacityReservationId"])


def reserved(reservation: str, purchase: str = "capacity_reservation", **fleet: Any) -> dict[str, Any]:
    return {**P5, "purchase": purchase, "reservation": reservation, **fleet}


def test_a_region_without_the_type_is_an_error(sandbox: Cloud) -> None:
    case = live_case(sandbox, "eu-central-1", fleet={"instance_type": "p6-b200.48xlarge"})
    assert found(types_are_offered, case) == [
        ("fleets.gpu.instance_type", "eu-central-1 does not offer p6-b200.48xlarge")
    ]


def test_a_zone_without_the_type_names_the_zones_that_have_it(sandbox: Cloud) -> None:
    zones = {"zone_names": ["us-east-1e", "us-east-1b"]}
    case = live_case(sandbox, REGION, network=zones, head={"instance_type": "m6i.large"})
    [problem] = types_are_offered(case)
    assert problem.what == "g5.xlarge is not offered in us-east-1e, where its machines would stand"
    assert problem.do == 'set fleets.gpu.zone = "us-east-1b"'
    alone = live_case(sandbox, REGION, network={"zone_names": ["us-east-1e"]})
    assert [each.do for each in types_are_offered(alone)] == [
        "name a zone in network.zone_names that offers it: us-east-1a, us-east-1b, us-east-1c, us-east-1d, "
        "us-east-1f"
    ] * 2, "neither the head nor the fleet has a zone"


def test_a_spread_fleet_that_lacks_a_zone_is_a_warning(sandbox: Cloud) -> None:
    zones = {"zone_names": ["us-east-1b", "us-east-1e"]}
    case = live_case(sandbox, REGION, network=zones, fleet={"placement": "spread"})
    assert found(types_are_offered, case) == []
    assert (
        "fleets.gpu.instance_type",
        "g5.xlarge is not offered in us-east-1e; its machines will all stand in us-east-1b",
    ) in found(types_are_offered_everywhere, case)


def test_a_zone_that_the_region_has_not_is_an_error(sandbox: Cloud) -> None:
    case = live_case(sandbox, REGION, network={"zone_names": ["us-east-1a", "us-east-1z"]})
    [problem] = zones_are_there(case)
    assert problem.what == "us-east-1 has no zone us-east-1z for this account"
    assert problem.do.startswith("take some of us-east-1a, ")


def test_more_zones_than_the_region_has_are_an_error(sandbox: Cloud) -> None:
    case = live_case(sandbox, "us-west-1", network={"zones": 6})
    [(path, what)] = found(zones_are_there, case)
    assert path == "network.zones" and what.startswith("6 zones where us-west-1 has ")


def test_a_reservation_that_is_not_there_is_an_error_while_nodes_are_to_start_in_it(sandbox: Cloud) -> None:
    gone = [
        (
            "fleets.gpu.reservation",
            "there is no capacity reservation cr-0123456789abcdef0 in us-east-1 for us, or no longer",
        )
    ]
    case = live_case(sandbox, REGION, fleet=reserved("cr-0123456789abcdef0"))
    assert (found(reservations_stand, case), found(reservations_stand_for_later, case)) == (gone, [])
    without = live_case(sandbox, REGION, fleet=reserved("cr-0123456789abcdef0", nodes=0))
    assert (found(reservations_stand, without), found(reservations_stand_for_later, without)) == ([], gone)


def test_a_reservation_that_fits_has_no_finding(sandbox: Cloud) -> None:
    case = live_case(sandbox, REGION, fleet=reserved(reserve(sandbox)))
    for rule in (reservations_fit, reservations_stand, reservations_are_free):
        assert found(rule, case) == []


def test_a_reservation_of_another_kind_type_zone_and_size_is_four_errors_at_once(sandbox: Cloud) -> None:
    other = reserve(sandbox, 1, AvailabilityZone="us-east-1c", InstanceType="p5en.48xlarge")
    case = live_case(sandbox, REGION, fleet=reserved(other, "capacity_block"))
    assert found(reservations_fit, case) == [
        ("fleets.gpu.purchase", f"{other} is a capacity reservation and not a capacity block"),
        ("fleets.gpu.instance_type", f"{other} is for p5en.48xlarge and not p5.48xlarge"),
        ("fleets.gpu.zone", f"{other} is in us-east-1c, where the fleet has no nodes"),
        ("fleets.gpu.nodes", f"2 nodes where {other} has 1"),
    ]


def test_a_reservation_in_another_zone_of_the_network_says_which_to_set(sandbox: Cloud) -> None:
    other = reserve(sandbox, AvailabilityZone="us-east-1b")
    [problem] = reservations_fit(live_case(sandbox, REGION, fleet=reserved(other)))
    assert problem.do == 'set fleets.gpu.zone = "us-east-1b"'


def test_a_cancelled_reservation_is_an_error(sandbox: Cloud) -> None:
    gone = reserve(sandbox)
    client(sandbox, "ec2", REGION).cancel_capacity_reservation(CapacityReservationId=gone)
    assert found(reservations_stand, live_case(sandbox, REGION, fleet=reserved(gone))) == [
        ("fleets.gpu.reservation", f"{gone} is cancelled and gives no capacity")
    ]


def test_an_expired_capacity_block_is_an_error_that_says_since_when(sandbox: Cloud) -> None:
    over = buy_block(sandbox, datetime.datetime(2026, 1, 1, 11, 30, tzinfo=datetime.UTC))
    case = live_case(sandbox, REGION, fleet=reserved(over, "capacity_block"))
    assert found(reservations_stand, case) == [
        ("fleets.gpu.reservation", f"{over} is expired since 2026-01-02 11:30 UTC and gives no capacity")
    ]
    assert found(reservations_are_free, case) == []


def test_a_capacity_block_that_starts_later_is_a_warning_with_the_time(sandbox: Cloud) -> None:
    start = (NOW + datetime.timedelta(days=3)).replace(second=0, microsecond=0)
    later = buy_block(sandbox, start, hours=24 * 180)
    case = live_case(sandbox, REGION, fleet=reserved(later, "capacity_block"))
    assert found(reservations_stand, case) == []
    [(_, what)] = found(reservations_are_free, case)
    assert (
        what == f"{later} starts only at {start:%Y-%m-%d %H:%M} UTC; until then no node of the fleet starts"
    )


def test_a_capacity_block_that_ends_before_the_lease_is_a_warning(sandbox: Cloud) -> None:
    block = buy_block(sandbox, NOW - datetime.timedelta(hours=1), hours=24)
    case = live_case(sandbox, REGION, fleet=reserved(block, "capacity_block"))
    assert found(reservations_fit, case) == []
    [(_, what)] = found(reservations_are_free, case)
    assert what.startswith(f"{block} ends at ") and what.endswith("before the lease (2026-12-31)")


def test_an_open_reservation_and_one_smaller_than_max_nodes_are_warnings(sandbox: Cloud) -> None:
    openly = reserve(sandbox, InstanceMatchCriteria="open")
    case = live_case(sandbox, REGION, fleet=reserved(openly, max_nodes=4))
    assert found(reservations_are_free, case) == [
        ("fleets.gpu.max_nodes", f"4 nodes where {openly} has 2"),
        (
            "fleets.gpu.reservation",
            f"{openly} is open: any machine of that type and zone takes from it",
        ),
    ]


@pytest.mark.parametrize(("environment", "free"), [("vision", None), ("speech", 1)])
def test_reserved_capacity_that_others_use_is_a_warning_and_our_own_nodes_count_once(
    sandbox: Cloud, environment: str, free: int | None
) -> None:
    name, group = reserve(sandbox), f"reserved-{environment}"
    ec2, scaling = client(sandbox, "ec2", REGION), client(sandbox, "autoscaling", REGION)
    tags = [{"Key": "fleetform:environment", "Value": environment}]
    ec2.create_launch_template(
        LaunchTemplateName=group,
        LaunchTemplateData={
            "ImageId": IMAGE,
            "InstanceType": "p5.48xlarge",
            "CapacityReservationSpecification": {
                "CapacityReservationTarget": {"CapacityReservationId": name}
            },
            "TagSpecifications": [{"ResourceType": "instance", "Tags": tags}],
        },
    )
    scaling.create_auto_scaling_group(
        AutoScalingGroupName=group,
        LaunchTemplate={"LaunchTemplateName": group, "Version": "$Latest"},
        MinSize=0,
        MaxSize=1,
        DesiredCapacity=1,
        AvailabilityZones=["us-east-1a"],
    )
    try:
        expected = [("fleets.gpu.nodes", f"2 nodes where {free} of the 2 of {name} are free")] if free else []
        case = live_case(sandbox, REGION, fleet=reserved(name))
        assert [each["CapacityReservationId"] for each in case.instances() if "CapacityReservationId" in each]
        assert found(reservations_are_free, case) == expected
    finally:
        scaling.delete_auto_scaling_group(AutoScalingGroupName=group, ForceDelete=True)
        ec2.delete_launch_template(LaunchTemplateName=group)


def test_a_parameter_that_names_no_image_is_an_error(sandbox: Cloud) -> None:
    image = "ssm:/aws/service/deeplearning/gone/latest/ami-id"
    assert found(images_are_there, live_case(sandbox, REGION, fleet={"image": image})) == [
        (
            "fleets.gpu.image",
            "there is no parameter /aws/service/deeplearning/gone/latest/ami-id in us-east-1",
        )
    ]


def test_an_image_that_is_not_there_is_an_error(sandbox: Cloud) -> None:
    case = live_case(sandbox, REGION, head={"image": "ami-0123456789abcdef0"})
    assert found(images_are_there, case) == [
        ("head.image", "there is no image ami-0123456789abcdef0 in us-east-1 that this account may use")
    ]


def test_an_image_of_another_architecture_is_an_error(sandbox: Cloud) -> None:
    image = "ssm:/aws/service/deeplearning/ami/arm64/oss-nvidia-driver-gpu-pytorch-2.7/latest/ami-id"
    [(path, what)] = found(images_suit_their_machines, live_case(sandbox, REGION, fleet={"image": image}))
    assert path == "fleets.gpu.image"
    assert what.endswith("is for arm64, g5.xlarge runs x86_64")


def test_a_disk_smaller_than_the_image_is_an_error(sandbox: Cloud) -> None:
    [(path, what)] = found(
        images_suit_their_machines, live_case(sandbox, REGION, head={"root_volume_gib": 8})
    )
    assert path == "head.root_volume_gib"
    assert what.startswith("8 GiB where the image ami-") and what.endswith(" alone has 15")


def test_an_image_that_is_not_available_or_deprecated_is_told(sandbox: Cloud) -> None:
    case = live_case(sandbox, REGION, fleet={"image": "ami-0123456789abcdef1"})
    image = {
        "ImageId": "ami-0123456789abcdef1",
        "State": "pending",
        "Architecture": "x86_64",
        "DeprecationTime": "2026-02-03T04:05:06.000Z",
    }
    answered(case, "the machine images", image, "ami-0123456789abcdef1")
    assert found(images_are_there, case) == [
        ("fleets.gpu.image", "the image ami-0123456789abcdef1 is pending")
    ]
    assert found(images_are_supported, case) == [
        ("fleets.gpu.image", "the image ami-0123456789abcdef1 is deprecated since 2026-02-03")
    ]
