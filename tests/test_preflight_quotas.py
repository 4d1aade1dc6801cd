"""The live guardrail on quotas, against the sandbox's Service Quotas and EC2 over HTTP."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fleet.aws import client
from fleet.cloud import Cloud
from fleet.preflight import check
from fleet.preflights.network_quotas import (
    ADDRESSES,
    VPCS,
    quota_holds_the_nat_addresses,
    quota_holds_the_vpc,
)
from fleet.preflights.quotas import (
    CODES,
    Demand,
    demands,
    quota_family,
    quota_holds_max_nodes,
    quota_holds_the_nodes,
)
from sandbox.extensions.service_quotas import QUOTAS
from stacks.catalog import load_catalog
from tests.live_cases import found, live_case, set_quota, start, stop
from tests.sandbox_helpers import admin

pytestmark = pytest.mark.sandbox
REGION = "eu-north-1"
P5 = {"instance_type": "p5.48xlarge"}


@pytest.fixture
def faults(sandbox: Cloud) -> Iterator[Cloud]:
    yield sandbox
    admin(sandbox, "DELETE", "faults")


def test_nodes_beyond_the_quota_are_an_error_that_says_what_to_ask_for(sandbox: Cloud) -> None:
    set_quota(sandbox, REGION, "L-417A185B", 384)
    [problem] = quota_holds_the_nodes(live_case(sandbox, REGION, fleet={**P5, "nodes": 4, "max_nodes": 4}))
    assert str(problem) == (
        "environments/vision.toml: fleets.gpu.instance_type: the quota of on-demand P instances has 384 of "
        "384 vCPUs left, and the nodes need 768\n"
        "    have L-417A185B raised to 768 (`aws service-quotas request-service-quota-increase --region "
        "eu-north-1 --service-code ec2 --quota-code L-417A185B --desired-value 768`), or ask for less"
    )


def test_nodes_within_the_quota_and_max_nodes_beyond_it_are_a_warning(sandbox: Cloud) -> None:
    set_quota(sandbox, REGION, "L-417A185B", 384)
    case = live_case(sandbox, REGION, fleet={**P5, "nodes": 2, "max_nodes": 4})
    assert found(quota_holds_the_nodes, case) == []
    [(path, what)] = found(quota_holds_max_nodes, case)
    assert (path, what) == (
        "fleets.gpu.instance_type",
        "the quota of on-demand P instances has 384 of 384 vCPUs left, and at max_nodes 768 are needed",
    )


def test_what_others_run_is_taken_off_and_our_own_nodes_count_once(sandbox: Cloud) -> None:
    set_quota(sandbox, REGION, "L-DB2E81BA", 12)
    others = start(sandbox, REGION, "g5.xlarge")
    ours = start(sandbox, REGION, "g5.xlarge", environment="vision", fleet="gpu")
    try:
        fits = live_case(sandbox, REGION, fleet={"nodes": 2, "max_nodes": 2})
        assert found(quota_holds_the_nodes, fits) == []
        [(_, what)] = found(quota_holds_the_nodes, live_case(sandbox, REGION, fleet={"nodes": 3}))
        assert what == (
            "the quota of on-demand G and VT instances has 8 of 12 vCPUs left, 4 are in use by others, and "
            "the nodes need 12"
        )
    finally:
        stop(sandbox, REGION, [*others, *ours])


def test_spot_and_on_demand_are_two_quotas(sandbox: Cloud) -> None:
    set_quota(sandbox, REGION, "L-3819A6DF", 4)
    spot = live_case(sandbox, REGION, fleet={"purchase": "spot", "on_demand_base": 1, "nodes": 3})
    [(_, what)] = found(quota_holds_the_nodes, spot)
    assert what == "the quota of spot G and VT instances has 4 of 4 vCPUs left, and the nodes need 8"


def test_the_first_nodes_of_a_spot_fleet_are_asked_of_the_on_demand_quota(sandbox: Cloud) -> None:
    fleet = {"purchase": "spot", "on_demand_base": 2, "nodes": 1, "max_nodes": 6}
    assert demands(live_case(sandbox, REGION, fleet=fleet)) == {
        ("Standard", "on_demand"): Demand(path="head.instance_type", now=2, most=2),
        ("G and VT", "on_demand"): Demand(path="fleets.gpu.instance_type", now=4, most=8),
        ("G and VT", "spot"): Demand(path="fleets.gpu.instance_type", now=0, most=16),
    }


def test_several_fleets_of_one_family_are_added_up(sandbox: Cloud) -> None:
    case = live_case(sandbox, REGION, large={"instance_type": "g6.12xlarge", "nodes": 2, "max_nodes": 3})
    assert demands(case)["G and VT", "on_demand"].now == 2 * 4 + 2 * 48
    assert demands(case)["G and VT", "on_demand"].most == 4 * 4 + 3 * 48


def test_reserved_capacity_has_its_quota_already_and_idle_reservations_count_as_used(sandbox: Cloud) -> None:
    region = "eu-south-2"
    fleet = {**P5, "purchase": "capacity_reservation", "reservation": "cr-0123456789abcdef0", "nodes": 4}
    assert ("P", "on_demand") not in demands(live_case(sandbox, region, fleet=fleet))
    client(sandbox, "ec2", region).create_capacity_reservation(
        InstanceType="p5.48xlarge",
        InstancePlatform="Linux/UNIX",
        AvailabilityZone=f"{region}a",
        InstanceCount=2,
    )
    set_quota(sandbox, region, "L-417A185B", 500)
    [(_, what)] = found(quota_holds_the_nodes, live_case(sandbox, region, fleet={**P5, "nodes": 1}))
    assert what == (
        "the quota of on-demand P instances has 116 of 500 vCPUs left, 384 are in use by others, and the "
        "nodes need 192"
    )


def test_a_region_full_of_vpcs_is_an_error_until_one_is_ours(sandbox: Cloud) -> None:
    region = "ap-northeast-1"
    set_quota(sandbox, region, "L-F678F1CE", 1, service="vpc")
    [problem] = quota_holds_the_vpc(live_case(sandbox, region))
    assert (problem.path, problem.what) == (
        "network",
        "ap-northeast-1 has 1 VPCs of the 1 that the account may have",
    )
    assert "--service-code vpc --quota-code L-F678F1CE --desired-value 2`" in problem.do
    ec2 = client(sandbox, "ec2", region)
    vpc = ec2.create_vpc(CidrBlock="10.20.0.0/16")["Vpc"]["VpcId"]
    ec2.create_tags(Resources=[vpc], Tags=[{"Key": "fleetform:environment", "Value": "vision"}])
    assert found(quota_holds_the_vpc, live_case(sandbox, region)) == []


def test_nat_gateways_without_addresses_left_are_an_error(sandbox: Cloud) -> None:
    region = "ap-northeast-3"
    ec2 = client(sandbox, "ec2", region)
    for _ in range(2):
        ec2.allocate_address(Domain="vpc")
    set_quota(sandbox, region, "L-0263D0A3", 3)
    assert found(quota_holds_the_nat_addresses, live_case(sandbox, region, network={"nat": "one"})) == []
    assert found(quota_holds_the_nat_addresses, live_case(sandbox, region, network={"nat": "per_zone"})) == [
        (
            "network.nat",
            "2 public addresses are needed, and others have 2 of the 3 that the account may have in "
            "ap-northeast-3",
        )
    ]


def test_a_quota_that_was_never_changed_is_awss_default(faults: Cloud) -> None:
    admin(
        faults,
        "POST",
        "faults",
        {"service": "service-quotas", "action": "GetServiceQuota", "code": "NoSuchResourceException"},
    )
    assert found(quota_holds_the_nodes, live_case(faults, "eu-west-2")) == []
    assert admin(faults, "GET", "status")["faults"][0]["hits"] == 2, "the head's quota and the fleet's"


def test_a_cloud_that_does_not_tell_its_quotas_is_a_warning_and_never_silence(faults: Cloud) -> None:
    admin(faults, "POST", "faults", {"service": "service-quotas", "code": "AccessDeniedException"})
    findings = check(live_case(faults, "us-west-2"))
    assert findings.errors == ()
    [warning] = findings.warnings
    assert warning.what.startswith("the account's quotas could not be asked (")
    assert "AccessDeniedException" in warning.what and warning.what.endswith("was checked")
    assert "servicequotas:GetServiceQuota" in warning.do


def test_every_type_of_the_catalog_has_both_quotas_and_the_sandbox_knows_them() -> None:
    families = {each.quota_family for each in load_catalog().values()}
    assert {(family, purchase) for family in families for purchase in ("on_demand", "spot")} <= set(CODES)
    assert {*CODES.values(), ADDRESSES[1], VPCS[1]} == set(QUOTAS)


@pytest.mark.parametrize(
    ("instance_type", "family"),
    [
        ("p5en.48xlarge", "P"),
        ("p2.xlarge", "P"),
        ("gr6.4xlarge", "G and VT"),
        ("vt1.3xlarge", "G and VT"),
        ("dl1.24xlarge", "DL"),
        ("trn2.48xlarge", "Trn"),
        ("hpc7g.16xlarge", ""),
        ("c5n.18xlarge", "Standard"),
        ("im4gn.large", "Standard"),
        ("inf2.xlarge", ""),
        ("x2idn.16xlarge", ""),
        ("mac2.metal", ""),
    ],
)
def test_a_type_outside_the_catalog_counts_in_its_familys_quota(instance_type: str, family: str) -> None:
    assert quota_family(instance_type) == family
