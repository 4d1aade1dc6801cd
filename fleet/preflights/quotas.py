"""The quotas of EC2: does what is declared still fit in the vCPUs that the account may run?"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fleet import aws
from fleet.preflights.case import LiveCase, fleets_of
from stacks.catalog import load_catalog
from stacks.problems import Problem

CODES: Mapping[tuple[str, str], str] = {
    ("Standard", "on_demand"): "L-1216C47A",
    ("G and VT", "on_demand"): "L-DB2E81BA",
    ("P", "on_demand"): "L-417A185B",
    ("Trn", "on_demand"): "L-2C3B7624",
    ("DL", "on_demand"): "L-6E869C2A",
    ("Standard", "spot"): "L-34B43A08",
    ("G and VT", "spot"): "L-3819A6DF",
    ("P", "spot"): "L-7212CCBC",
    ("Trn", "spot"): "L-6B0D517C",
    ("DL", "spot"): "L-85EED4F7",
}
"""Family of instance types and purchase -> the quota of the service `ec2`, in vCPUs (EC2 user guide, "Spot
Instance quotas" and "On-Demand Instance quotas"; codes as `aws service-quotas list-service-quotas` has)."""
_FAMILIES = {"g": "G and VT", "gr": "G and VT", "vt": "G and VT", "p": "P", "trn": "Trn", "dl": "DL"}
_NO_FLEETS = ("f", "hpc", "inf", "mac", "u", "x")
"""Letters that an instance type begins with -> its family. Types that begin otherwise count as Standard, but
for these, whose quotas no fleet of ours asks for."""


@dataclass(frozen=True, kw_only=True)
class Demand:
    """What an environment wants out of one quota."""

    path: str
    """The setting that it comes from; the first one where there are several."""
    now: int
    """vCPUs of the nodes that are started at once."""
    most: int
    """vCPUs of the nodes that it may grow to."""


@dataclass(frozen=True, kw_only=True)
class Room:
    """One quota beside what is asked of it."""

    family: str
    purchase: str
    code: str
    quota: int
    others: int
    """vCPUs that others run, or have reserved, in the account and region."""
    demand: Demand

    @property
    def free(self) -> int:
        """vCPUs that are left for this environment, its own machines that run now included."""
        return max(0, self.quota - self.others)

    def __str__(self) -> str:
        name = f"{self.purchase.replace('_', '-')} {self.family}"
        return f"the quota of {name} instances has {self.free} of {self.quota} vCPUs left"


def quota_holds_the_nodes(case: LiveCase) -> Iterator[Problem]:
    """The account's quotas hold the nodes that are started at once, beside all that runs in the region."""
    for room in _rooms(case):
        if room.demand.now > room.free:
            yield _too_small(case, room, f"the nodes need {room.demand.now}", room.demand.now)


def quota_holds_max_nodes(case: LiveCase) -> Iterator[Problem]:
    """The account's quotas hold the nodes that the fleets may grow to."""
    for room in _rooms(case):
        if room.demand.now <= room.free < room.demand.most:
            yield _too_small(case, room, f"at max_nodes {room.demand.most} are needed", room.demand.most)


def demands(case: LiveCase) -> dict[tuple[str, str], Demand]:
    """Return what the environment wants of each quota: the head on demand, every fleet as it is bought.

    Reserved capacity is not in it: a reservation took its part of the quota when it was made, and capacity
    blocks take none (EC2 user guide, "Capacity Reservations", "Capacity Blocks for ML").
    """
    found: dict[tuple[str, str], Demand] = {}

    def add(path: str, instance_type: str, purchase: str, now: int, most: int) -> None:
        known = load_catalog().get(instance_type)
        if known is None or not most:
            return  # the offline rules tell of an unknown type
        key = (known.quota_family, purchase)
        before = found.get(key, Demand(path=f"{path}.instance_type", now=0, most=0))
        found[key] = Demand(
            path=before.path, now=before.now + now * known.vcpus, most=before.most + most * known.vcpus
        )

    add("head", case.spec.head.instance_type, "on_demand", 1, 1)
    for path, fleet in fleets_of(case):
        if fleet.reserved:
            continue
        base = min(fleet.on_demand_base, fleet.max_nodes) if fleet.purchase == "spot" else fleet.max_nodes
        first = min(base, fleet.nodes)
        add(path, fleet.instance_type, "on_demand", first, base)
        add(path, fleet.instance_type, "spot", fleet.nodes - first, fleet.max_nodes - base)
    return found


def quota_family(instance_type: str) -> str:
    """Return the family whose quota counts the type, "" for one that no machine of ours is of."""
    known = load_catalog().get(instance_type)
    if known:
        return known.quota_family
    letters = re.match(r"[a-z]*", instance_type).group()  # type: ignore[union-attr]  # it always matches
    return "" if letters.startswith(_NO_FLEETS) else _FAMILIES.get(letters, "Standard")


def _rooms(case: LiveCase) -> Iterator[Room]:
    """Yield each quota that the environment needs, with what others have of it."""
    for (family, purchase), demand in demands(case).items():
        code = CODES[family, purchase]
        yield Room(
            family=family,
            purchase=purchase,
            code=code,
            quota=quota(case, "ec2", code),
            others=_used(case)[family, purchase],
            demand=demand,
        )


def quota(case: LiveCase, service: str, code: str) -> int:
    """Return the quota's value: the account's own, or AWS's default where it never had another."""

    def look() -> int:
        client = case.client("service-quotas")
        try:
            answer = client.get_service_quota(ServiceCode=service, QuotaCode=code)
        except Exception as error:
            if aws.error_code(error) != "NoSuchResourceException":
                raise
            answer = client.get_aws_default_service_quota(ServiceCode=service, QuotaCode=code)
        return int(answer["Quota"]["Value"])

    return case.ask("the account's quotas", "servicequotas:GetServiceQuota", look, code)


def raised(case: LiveCase, which: tuple[str, str], value: int, otherwise: str) -> str:
    """Return what to do about a quota, service and code, that is less than `value`."""
    service, code = which
    return (
        f"have {code} raised to {value} (`aws service-quotas request-service-quota-increase --region "
        f"{case.spec.region} --service-code {service} --quota-code {code} --desired-value {value}`), "
        f"or {otherwise}"
    )


def _too_small(case: LiveCase, room: Room, need: str, wanted: int) -> Problem:
    used = f", {room.others} are in use by others" if room.others else ""
    return case.problem(
        room.demand.path,
        f"{room}{used}, and {need}",
        raised(case, ("ec2", room.code), wanted + room.others, "ask for less"),
    )


def _used(case: LiveCase) -> Counter[tuple[str, str]]:
    """Return the vCPUs that others have of each quota: what runs, and what is reserved and idle."""
    used: Counter[tuple[str, str]] = Counter()
    reserved = {fleet.reservation for _, fleet in fleets_of(case) if fleet.reserved}
    for instance in case.instances():
        purchase = {"spot": "spot", "capacity-block": "", "": "on_demand"}.get(
            instance.get("InstanceLifecycle", ""), ""
        )
        # Ours are in what we ask for, unless they run in a reservation, for which we ask nothing.
        ours = case.is_ours(instance) and instance.get("CapacityReservationId") not in reserved
        if purchase and not ours:
            kind = instance["InstanceType"]
            used[quota_family(kind), purchase] += _vcpus(case, kind)
    for reservation in _idle_reservations(case):
        kind = reservation["InstanceType"]
        used[quota_family(kind), "on_demand"] += reservation["AvailableInstanceCount"] * _vcpus(case, kind)
    return used


def _idle_reservations(case: LiveCase) -> list[Mapping[str, Any]]:
    """Return the account's reservations that stand, blocks not among them: idle capacity counts as used."""

    def look() -> list[Mapping[str, Any]]:
        active = [{"Name": "state", "Values": ["active"]}]
        found = case.pages("ec2", "describe_capacity_reservations", "CapacityReservations", Filters=active)
        return [each for each in found if each.get("ReservationType", "default") == "default"]

    return case.ask("what is reserved in the region", "ec2:DescribeCapacityReservations", look)


def _vcpus(case: LiveCase, instance_type: str) -> int:
    """Return a type's vCPUs, from the catalog or from EC2."""
    known = load_catalog().get(instance_type)
    if known:
        return known.vcpus

    def look() -> int:
        answer = case.client("ec2").describe_instance_types(InstanceTypes=[instance_type])
        return int(answer["InstanceTypes"][0]["VCpuInfo"]["DefaultVCpus"])

    return case.ask("what machines have", "ec2:DescribeInstanceTypes", look, instance_type)
