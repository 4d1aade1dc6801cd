"""The live guardrails on networks and addresses, against VPCs that stand in the sandbox."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from fleet.aws import client
from fleet.cloud import Cloud
from fleet.preflights.addresses import subnets_hold_max_nodes, subnets_hold_the_nodes
from fleet.preflights.case import LiveCase
from fleet.preflights.networks import (
    block_is_no_other_environments,
    block_is_no_other_vpcs,
    machines_reach_what_they_need,
    subnets_are_private,
    subnets_are_usable,
    vpc_is_there,
    way_out_is_there,
)
from fleet.preflights.places import environment_zones
from stacks.endpoint_services import interface_services
from tests.live_cases import found, live_case, start, stop

pytestmark = pytest.mark.sandbox
REGION = "ap-northeast-2"


@dataclass(frozen=True)
class Standing:
    """A VPC of somebody else's in the sandbox, with a private subnet in each of two zones."""

    cloud: Cloud
    vpc: str
    block: str
    subnets: tuple[str, ...]

    @property
    def ec2(self) -> Any:
        return client(self.cloud, "ec2", REGION)

    def case(self, fleet: dict[str, Any] | None = None, **network: Any) -> LiveCase:
        """Return an environment in this VPC."""
        settings = {
            "cidr": self.block,
            "vpc_id": self.vpc,
            "subnet_ids": list(self.subnets),
            "zone_names": [],
            **network,
        }
        settings = {name: value for name, value in settings.items() if value != []}
        return live_case(self.cloud, REGION, network=settings, fleet=fleet)


def make(cloud: Cloud, block: str, *subnets: str, **tags: str) -> Standing:
    """Make a VPC with DNS on, and these subnets in the zones one after the other."""
    ec2 = client(cloud, "ec2", REGION)
    vpc = ec2.create_vpc(CidrBlock=block)["Vpc"]["VpcId"]
    if tags:
        ec2.create_tags(Resources=[vpc], Tags=[{"Key": key, "Value": tags[key]} for key in tags])
    for attribute in ("EnableDnsSupport", "EnableDnsHostnames"):
        ec2.modify_vpc_attribute(VpcId=vpc, **{attribute: {"Value": True}})
    ids = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=each, AvailabilityZone=f"{REGION}{zone}")["Subnet"]["SubnetId"]
        for zone, each in zip("abc", subnets, strict=False)
    ]
    for subnet in ids:
        ec2.modify_subnet_attribute(SubnetId=subnet, MapPublicIpOnLaunch={"Value": False})
    return Standing(cloud, vpc, block, tuple(ids))


@pytest.fixture(scope="module")
def standing(sandbox: Cloud) -> Standing:
    """A VPC that is as an environment needs it."""
    return make(sandbox, "10.80.0.0/16", "10.80.0.0/24", "10.80.1.0/24")


def test_a_vpc_that_is_as_needed_has_no_finding(standing: Standing) -> None:
    case = standing.case(zone_names=[f"{REGION}a", f"{REGION}b"])
    for rule in (
        vpc_is_there,
        subnets_are_usable,
        subnets_are_private,
        machines_reach_what_they_need,
        way_out_is_there,
        subnets_hold_the_nodes,
        subnets_hold_max_nodes,
        block_is_no_other_environments,
        block_is_no_other_vpcs,
    ):
        assert found(rule, case) == [], rule


def test_a_block_of_another_teams_environment_is_an_error(sandbox: Cloud) -> None:
    other = make(
        sandbox, "10.81.0.0/16", **{"fleetform:environment": "speech", "fleetform:team": "speech-team"}
    )
    case = live_case(sandbox, REGION, block="10.81.64.0/20")
    assert found(block_is_no_other_environments, case) == [
        (
            "network.cidr",
            "10.81.64.0/20 overlaps 10.81.0.0/16 of the environment speech (team speech-team), which "
            f"stands as {other.vpc}",
        )
    ]
    assert found(block_is_no_other_vpcs, case) == []


def test_a_block_of_the_environments_own_vpc_is_none_of_others(sandbox: Cloud) -> None:
    make(sandbox, "10.82.0.0/16", **{"fleetform:environment": "vision"})
    case = live_case(sandbox, REGION, block="10.82.0.0/16")
    assert found(block_is_no_other_environments, case) == []
    assert found(block_is_no_other_vpcs, case) == []


def test_a_block_of_any_other_vpc_is_a_warning(sandbox: Cloud) -> None:
    other = make(sandbox, "10.83.0.0/16", Name="legacy")
    case = live_case(sandbox, REGION, block="10.83.0.0/20")
    assert found(block_is_no_other_vpcs, case) == [
        ("network.cidr", f"10.83.0.0/20 overlaps 10.83.0.0/16 of {other.vpc} (legacy)")
    ]
    default = live_case(sandbox, REGION, block="172.31.0.0/16")
    [(_, what)] = found(block_is_no_other_vpcs, default)
    assert what.endswith("(the default VPC)")


def test_a_vpc_that_is_not_there_is_an_error(standing: Standing) -> None:
    [problem] = vpc_is_there(standing.case(vpc_id="vpc-0123456789abcdef0"))
    assert problem.what == f"there is no VPC vpc-0123456789abcdef0 in {REGION}"
    assert standing.vpc in problem.do


def test_a_block_that_the_vpc_has_not_is_an_error(standing: Standing) -> None:
    assert found(vpc_is_there, standing.case(cidr="10.90.0.0/16")) == [
        ("network.cidr", f"{standing.vpc} does not have the block 10.90.0.0/16")
    ]


def test_a_vpc_without_dns_is_an_error_where_endpoints_are_made(sandbox: Cloud) -> None:
    bare = make(sandbox, "10.84.0.0/16", "10.84.0.0/24")
    for attribute in ("EnableDnsHostnames", "EnableDnsSupport"):
        bare.ec2.modify_vpc_attribute(VpcId=bare.vpc, **{attribute: {"Value": False}})
    why = "off, and endpoints cannot answer under the services' names without"
    assert found(vpc_is_there, bare.case()) == [
        ("network.vpc_id", f"{bare.vpc} has enableDnsSupport {why}"),
        ("network.vpc_id", f"{bare.vpc} has enableDnsHostnames {why}"),
    ]
    assert found(vpc_is_there, bare.case(endpoints="existing")) == []


def test_subnets_that_are_missing_elsewhere_or_in_other_zones_are_all_told(standing: Standing) -> None:
    other = make(standing.cloud, "10.85.0.0/16", "10.85.0.0/24")
    named = [standing.subnets[0], other.subnets[0], "subnet-0123456789abcdef0"]
    zones = [f"{REGION}c", f"{REGION}a", f"{REGION}b"]
    assert found(subnets_are_usable, standing.case(subnet_ids=named, zone_names=zones)) == [
        ("network.zone_names", f"{named[0]} is in {REGION}a and not in {REGION}c"),
        ("network.subnet_ids", f"{named[1]} lies in {other.vpc} and not in {standing.vpc}"),
        ("network.subnet_ids", f"{named[1]} and {named[0]} are both in {REGION}a"),
        ("network.subnet_ids", f"there is no subnet subnet-0123456789abcdef0 in {REGION}"),
    ]


def test_a_public_subnet_is_an_error(sandbox: Cloud) -> None:
    public = make(sandbox, "10.86.0.0/16", "10.86.0.0/24")
    ec2, [subnet] = public.ec2, public.subnets
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=public.vpc)
    [main] = ec2.describe_route_tables(Filters=[{"Name": "vpc-id", "Values": [public.vpc]}])["RouteTables"]
    ec2.create_route(RouteTableId=main["RouteTableId"], DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway)
    ec2.modify_subnet_attribute(SubnetId=subnet, MapPublicIpOnLaunch={"Value": True})
    assert found(subnets_are_private, public.case()) == [
        ("network.subnet_ids", f"{subnet} gives a public address to what starts in it"),
        ("network.subnet_ids", f"{subnet} is public: 0.0.0.0/0 leads to {gateway}"),
    ]


def test_endpoints_that_others_made_clash_with_ours_and_are_enough_where_they_are_used(
    sandbox: Cloud,
) -> None:
    place = make(sandbox, "10.87.0.0/16", "10.87.0.0/24")
    case = place.case()
    services = sorted(interface_services(case.spec, case.account.region))
    assert {"ec2", "ssm", "ssmmessages"} <= set(services)
    assert found(machines_reach_what_they_need, place.case(endpoints="existing")) == [
        (
            "network.endpoints",
            f"from {place.subnets[0]} machines do not reach {', '.join(services)}, s3 (gateway): {place.vpc} "
            "has no such endpoint, and there is no way out that they may use",
        )
    ]
    for service in services:
        place.ec2.create_vpc_endpoint(
            VpcId=place.vpc,
            ServiceName=f"com.amazonaws.{REGION}.{service}",
            VpcEndpointType="Interface",
            SubnetIds=list(place.subnets),
        )
    [main] = place.ec2.describe_route_tables(Filters=[{"Name": "vpc-id", "Values": [place.vpc]}])[
        "RouteTables"
    ]
    place.ec2.create_vpc_endpoint(
        VpcId=place.vpc,
        ServiceName=f"com.amazonaws.{REGION}.s3",
        VpcEndpointType="Gateway",
        RouteTableIds=[main["RouteTableId"]],
    )
    assert found(machines_reach_what_they_need, place.case()) == [
        (
            "network.endpoints",
            f"{place.vpc} has endpoints to {', '.join(services)} already; a second one cannot have the "
            "services' own names",
        )
    ]
    assert found(machines_reach_what_they_need, place.case(endpoints="existing")) == []


def test_a_way_out_that_is_not_there_is_an_error(standing: Standing) -> None:
    first, second = standing.subnets
    why = "has no route to the internet, and fleetform makes none in a VPC of others"
    assert found(way_out_is_there, standing.case(nat="one")) == [
        ("network.nat", f"{first} {why}"),
        ("network.nat", f"{second} {why}"),
    ]


def test_a_subnet_says_how_many_nodes_it_still_holds(sandbox: Cloud) -> None:
    small = make(sandbox, "10.88.0.0/16", "10.88.0.0/27")
    [subnet] = small.subnets
    case = small.case(fleet={"nodes": 18, "max_nodes": 20})
    # 32 addresses, of which AWS keeps 5 and we 10.
    assert found(subnets_hold_the_nodes, case) == [
        (
            "fleets.gpu.nodes",
            f"{subnet} ({REGION}a) still holds 17 nodes of g5.xlarge, where 18 more are asked for",
        )
    ]
    grows = small.case(fleet={"nodes": 17, "max_nodes": 18})
    assert found(subnets_hold_the_nodes, grows) == []
    assert [path for path, _ in found(subnets_hold_max_nodes, grows)] == ["fleets.gpu.max_nodes"]


def test_nodes_with_an_address_for_each_adapter_take_more_of_them(sandbox: Cloud) -> None:
    small = make(sandbox, "10.89.0.0/16", "10.89.0.0/27")
    case = small.case(fleet={"instance_type": "p4d.24xlarge", "nodes": 5, "max_nodes": 5})
    [(_, what)] = found(subnets_hold_the_nodes, case)
    assert what.endswith("still holds 4 nodes of p4d.24xlarge, 4 addresses each, where 5 more are asked for")


def test_nodes_that_run_have_their_addresses_and_a_spread_fleet_takes_from_every_zone(sandbox: Cloud) -> None:
    small = make(sandbox, "10.91.0.0/16", "10.91.0.0/27", "10.91.1.0/27")
    spread = {"placement": "spread", "nodes": 35, "max_nodes": 35}
    [(_, what)] = found(subnets_hold_the_nodes, small.case(fleet=spread))
    first, second = small.subnets
    assert what == (
        f"{first} ({REGION}a) and {second} ({REGION}b) still hold 34 nodes of g5.xlarge, where 35 more are "
        "asked for"
    )
    running = start(sandbox, REGION, "g5.xlarge", environment="vision", fleet="gpu")
    try:
        assert found(subnets_hold_the_nodes, small.case(fleet=spread)) == []
    finally:
        stop(sandbox, REGION, running)


def test_an_environment_that_stands_keeps_the_zones_of_its_subnets(sandbox: Cloud) -> None:
    case = live_case(sandbox, REGION, block="10.92.0.0/16")
    first, second = (str(block) for block in case.spec.network.subnets())
    assert environment_zones(case) == [f"{REGION}a", f"{REGION}b"]
    ours = make(sandbox, "10.92.0.0/16", second, first)
    ours.ec2.create_tags(
        Resources=list(ours.subnets), Tags=[{"Key": "fleetform:environment", "Value": "vision"}]
    )
    assert environment_zones(live_case(sandbox, REGION, block="10.92.0.0/16")) == [f"{REGION}b", f"{REGION}a"]
