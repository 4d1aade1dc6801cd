"""The quotas of a network: is there room for one more VPC, and for the addresses of its NAT gateways?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from fleet.preflights.case import LiveCase
from fleet.preflights.quotas import quota, raised
from fleet.preflights.subnets import vpcs
from stacks.problems import Problem

VPCS, ADDRESSES = ("vpc", "L-F678F1CE"), ("ec2", "L-0263D0A3")
"""Service and code of "VPCs per Region" and of "EC2-VPC Elastic IPs"; both are 5 in a new account."""


def quota_holds_the_vpc(case: LiveCase) -> Iterator[Problem]:
    """The account may have one more VPC in the region, where the environment is to get one of its own."""
    if not case.spec.network.is_own or any(case.is_ours(vpc) for vpc in vpcs(case)):
        return
    there, allowed = len(vpcs(case)), quota(case, *VPCS)
    if there >= allowed:
        yield case.problem(
            "network",
            f"{case.spec.region} has {there} VPCs of the {allowed} that the account may have",
            raised(case, VPCS, there + 1, "stand in an existing one (network.vpc_id)"),
        )


def quota_holds_the_nat_addresses(case: LiveCase) -> Iterator[Problem]:
    """The account may have the public addresses that the NAT gateways take, one each."""
    network = case.spec.network
    if not (network.is_own and network.reaches_out):
        return
    needed = network.zone_count if network.nat == "per_zone" else 1
    others = sum(not case.is_ours(each) for each in _addresses(case))
    allowed = quota(case, *ADDRESSES)
    if others + needed > allowed:
        yield case.problem(
            "network.nat",
            f"{needed} public addresses are needed, and others have {others} of the {allowed} that the "
            f"account may have in {case.spec.region}",
            raised(case, ADDRESSES, others + needed, "take fewer NAT gateways"),
        )


def _addresses(case: LiveCase) -> list[Mapping[str, Any]]:
    """Return every Elastic IP address of the account in the region."""
    return case.ask(
        "the public addresses of the region",
        "ec2:DescribeAddresses",
        lambda: list(case.client("ec2").describe_addresses()["Addresses"]),
    )
