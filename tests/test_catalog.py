"""The instance catalog agrees with what EC2 says of its types, and every price says where it is from."""

from __future__ import annotations

import gzip
import json
from importlib.resources import files
from typing import Any

import pytest

from stacks.catalog import InstanceType, family_regions, known_regions, load_catalog, load_other_prices
from stacks.fleet_spec import HeadSpec

QUOTA_FAMILIES = {
    "t": "Standard",
    "c": "Standard",
    "m": "Standard",
    "g": "G and VT",
    "p": "P",
    "trn": "Trn",
}
"""First letters of a type -> the quota that counts its vCPUs (EC2 user guide, on-demand quotas)."""


@pytest.fixture(scope="module")
def described() -> dict[str, dict[str, Any]]:
    """EC2's own description of its types, as moto carries it."""
    packed = files("moto.ec2").joinpath("resources/instance_types.json.gz").read_bytes()
    types: dict[str, dict[str, Any]] = json.loads(gzip.decompress(packed))
    return types


@pytest.mark.parametrize("found", load_catalog().values(), ids=lambda found: found.name)
def test_capacities_are_those_that_ec2_describes(found: InstanceType, described: dict[str, Any]) -> None:
    truth = described[found.name]
    assert found.vcpus == truth["VCpuInfo"]["DefaultVCpus"]
    assert found.memory_gib * 1024 == truth["MemoryInfo"]["SizeInMiB"]
    storage = truth.get("InstanceStorageInfo", {})
    disks = {disk["SizeInGB"]: disk["Count"] for disk in storage.get("Disks", [])}
    assert disks == ({found.disk_gb: found.disks} if found.disks else {})
    assert found.disks * found.disk_gb == storage.get("TotalSizeInGB", 0)
    network = truth["NetworkInfo"]
    assert found.network_cards == network["MaximumNetworkCards"]
    assert found.efa_interfaces == network.get("EfaInfo", {}).get("MaximumEfaInterfaces", 0)
    cards, _, peak = network["NetworkPerformance"].removesuffix(" Gigabit").rpartition("x ")
    assert found.network_gbps == float(peak.removeprefix("Up to ")) * int(cards or 1)


@pytest.mark.parametrize("found", load_catalog().values(), ids=lambda found: found.name)
def test_gpus_are_those_that_ec2_describes(found: InstanceType, described: dict[str, Any]) -> None:
    gpus = described[found.name].get("GpuInfo", {}).get("Gpus", [])
    assert found.gpus == sum(gpu["Count"] for gpu in gpus)
    if gpus:
        assert found.gpu_model == gpus[0]["Name"]
        # EC2 tells what a driver sees, a few percent less than the nominal memory of the data sheet.
        assert 0.9 * found.gpu_memory_gib < gpus[0]["MemoryInfo"]["SizeInMiB"] / 1024 <= found.gpu_memory_gib


@pytest.mark.parametrize("found", load_catalog().values(), ids=lambda found: found.name)
def test_trainium_is_no_gpu_and_is_sold_as_ec2_says(found: InstanceType, described: dict[str, Any]) -> None:
    truth = described[found.name]
    devices = truth.get("NeuronInfo", {}).get("NeuronDevices", [])
    assert found.neuron_devices == sum(device["Count"] for device in devices)
    assert not (found.gpus and found.neuron_devices)
    assert found.capacity_blocks == ("capacity-block" in truth["SupportedUsageClasses"])
    assert found.on_demand or found.capacity_blocks
    assert found.efa_interfaces <= found.network_cards
    if found.efa_only:
        assert found.efa_interfaces


def test_every_type_is_counted_by_its_quota() -> None:
    assert {found.quota_family for found in load_catalog().values()} == set(QUOTA_FAMILIES.values())
    for found in load_catalog().values():
        letters = "trn" if found.name.startswith("trn") else found.name[0]
        assert found.quota_family == QUOTA_FAMILIES[letters], found.name


@pytest.mark.parametrize(
    "family", ["g4dn", "g5", "g6", "g6e", "p4d", "p4de", "p5", "p5e", "p5en", "p6-b200", "trn1", "trn2"]
)
def test_every_family_that_trains_is_there(family: str) -> None:
    assert any(found.family == family for found in load_catalog().values())


def test_the_regions_of_a_family_are_regions_and_hold_its_price() -> None:
    for found in load_catalog().values():
        regions = family_regions(found.family)
        assert set(regions) <= set(known_regions())
        if regions and found.on_demand:
            assert found.price_region in regions
    assert family_regions("p6-b200") and not family_regions("p5e")


def test_a_price_that_nobody_could_verify_says_so() -> None:
    assert "not verified" in load_catalog()["trn2.48xlarge"].price_source
    for found in load_catalog().values():
        assert found.on_demand or "capacity block" in found.price_source


def test_larger_types_of_a_family_with_as_many_gpus_cost_more() -> None:
    alike: dict[tuple[str, int], list[InstanceType]] = {}
    for found in load_catalog().values():
        alike.setdefault((found.family, found.gpus), []).append(found)
    for types in alike.values():
        ordered = sorted(types, key=lambda found: (found.vcpus, found.memory_gib))
        prices = [found.price_usd_per_hour for found in ordered]
        assert prices == sorted(prices) and prices[0] > 0


def test_every_price_says_where_and_when_it_held_and_who_says_so() -> None:
    for found in load_catalog().values():
        assert found.price_region in known_regions() and found.price_source
        assert found.price_date.year >= 2025
    for price in load_other_prices().values():
        assert price.region in known_regions() and price.source.startswith("https://aws.amazon.com/")
        assert price.per in ("hour", "month") and price.of and price.usd > 0


def test_a_monthly_price_is_spread_over_the_months_hours() -> None:
    prices = load_other_prices()
    assert prices["ebs_gp3"].usd_per_hour(100) == pytest.approx(8.0 / 730)
    assert prices["interface_endpoint"].usd_per_hour(2) == pytest.approx(0.02)


def test_the_default_head_node_is_in_the_catalog_and_has_no_gpu() -> None:
    assert load_catalog()[HeadSpec().instance_type].gpus == 0


def test_the_catalog_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        load_catalog()["x"] = None  # type: ignore[index]
