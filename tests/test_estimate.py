"""What a stack costs is reckoned from its resources, and what nobody can price is named."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from fleet.estimate import Estimate, estimate, resources_of
from fleet.kinds import KINDS, OTHER, ROOMS, kind_of, room_of
from fleet.machine_prices import elastic_nodes
from fleet.price_rules import BY_USE, FREE, RULES
from fleet.priced import Resource
from stacks import naming
from stacks.catalog import load_catalog, load_other_prices, load_use_prices

ROOT = Path(__file__).parent.parent
GOLDEN = ROOT / "tests" / "golden" / "synth"
TYPES = tomllib.loads((ROOT / "stacks" / "aws" / "types.toml").read_text())
MANAGED = sorted({name for module in TYPES["modules"].values() for name in module.get("resources", ())})
G5 = load_catalog()["g5.xlarge"].price_usd_per_hour


def price(kind: str, name: str = "it", **values: Any) -> Estimate:
    """Return the estimate of one resource."""
    return estimate([Resource(f"aws_{kind}", name, values)], "us-east-1")


def fleet(template: dict[str, Any] | None = None, **group: Any) -> Estimate:
    """Return the estimate of a fleet of 1 to 3 g5.xlarge with a disk of 73 GB, a tenth of a month's hours."""
    own = {
        "instance_type": "g5.xlarge",
        "block_device_mappings": [{"ebs": {"volume_size": 73, "volume_type": "gp3"}}],
        **(template or {}),
    }
    tags = [{"key": naming.TAG_ROLE, "value": "node"}, {"key": naming.TAG_FLEET, "value": "gpu"}]
    reference = {
        "id": "${aws_launch_template.gpu.id}",
        "version": "${aws_launch_template.gpu.latest_version}",
    }
    values = {"min_size": 0, "desired_capacity": 1, "max_size": 3, "tag": tags, "launch_template": reference}
    return estimate(
        [
            Resource("aws_launch_template", "gpu", own),
            Resource("aws_autoscaling_group", "gpu", {**values, **group}),
        ],
        "us-east-1",
    )


@pytest.mark.parametrize("name", MANAGED)
def test_every_type_of_the_stacks_has_a_room_and_a_decision_on_its_cost(name: str) -> None:
    assert kind_of(name).room != OTHER and name in {*RULES, *BY_USE, *FREE}


def test_a_type_is_decided_once_and_every_rules_price_is_in_the_catalog() -> None:
    assert not (set(RULES) & set(BY_USE)) and not (FREE & (set(RULES) | set(BY_USE)))
    assert FREE | set(RULES) | set(BY_USE) <= set(KINDS)
    assert {name for names in BY_USE.values() for name in names} <= {
        *load_other_prices(),
        *load_use_prices(),
    }
    assert all(
        each.per == "use" and each.source.startswith("https://") for each in load_use_prices().values()
    )


def test_every_kind_is_in_a_room_and_the_accounts_buckets_are_for_audit() -> None:
    assert {kind.room for kind in KINDS.values()} == set(ROOMS) - {OTHER}
    assert room_of("aws_s3_bucket", "account") == "audit" and room_of("aws_s3_bucket", "v-base") == "storage"
    assert kind_of("aws_quantum_thing").room == OTHER


def test_the_golden_environment_costs_what_its_catalog_prices_add_up_to() -> None:
    resources = [
        each
        for stack in ("vision-base", "vision-fleet")
        for each in resources_of(json.loads((GOLDEN / f"{stack}.tf.json").read_text()))
    ]
    found = estimate(resources, "us-east-1")
    assert found.not_priced == ()
    nodes = {item.what: item for item in found.items if item.room == "machines"}
    assert nodes["a fleet `gpu` of 2 to 4 g5.xlarge nodes"].usd_per_hour_running == pytest.approx(2 * G5)
    parts = [item.usd_per_hour_running or 0.0 for item in found.items]
    assert found.usd_per_hour_running == pytest.approx(sum(parts)) and found.usd_per_hour_running > 2 * G5
    assert 0 < found.usd_per_hour_idle < 0.3 < found.usd_per_hour_running < found.usd_per_hour_at_most
    assert found.usd_per_day_idle == pytest.approx(24 * found.usd_per_hour_idle)


def test_a_fleet_costs_its_nodes_and_their_disks_and_nothing_while_it_is_idle() -> None:
    found = fleet()
    assert found.usd_per_hour_running == pytest.approx(G5 + 0.008)
    assert found.usd_per_hour_idle == 0
    assert found.usd_per_hour_at_most == pytest.approx(3 * (G5 + 0.008))


def test_nodes_that_came_with_the_queue_cost_what_stands_of_them() -> None:
    found = estimate(elastic_nodes({("gpu", "g5.xlarge"): 3, ("odd", "x9.huge"): 1}), "us-east-1")
    (item,) = found.items
    assert item.what == "3 nodes of `gpu` for runs in the queue, g5.xlarge"
    assert found.usd_per_hour_running == pytest.approx(3 * G5) and found.usd_per_hour_idle == 0
    assert found.not_priced == ("elastic_nodes.odd: the catalog has no instance type x9.huge",)


def test_a_fleet_under_slurm_may_cost_as_many_nodes_as_it_may_grow_to() -> None:
    tag = [{"key": naming.TAG_MAX_NODES, "value": "8", "propagate_at_launch": False}]
    found = fleet(max_size=1, tag=tag)
    assert found.usd_per_hour_at_most == pytest.approx(8 * (G5 + 0.008))


def test_a_state_and_a_configuration_give_the_same_price() -> None:
    listed = fleet(
        template={
            "id": "lt-1",
            "block_device_mappings": [{"ebs": [{"volume_size": 73, "volume_type": "gp3"}]}],
        },
        launch_template=[{"id": "lt-1", "version": "3"}],
    )
    assert listed.to_dict() == fleet().to_dict()


def test_a_spot_fleet_is_priced_as_at_most_the_on_demand_price_of_its_dearest_type() -> None:
    override = [{"instance_type": "g5.xlarge"}, {"instance_type": "g5.12xlarge"}]
    policy = {
        "launch_template": {
            "launch_template_specification": {"launch_template_id": "${aws_launch_template.gpu.id}"},
            "override": override,
        },
        "instances_distribution": {
            "on_demand_base_capacity": 1,
            "on_demand_percentage_above_base_capacity": 0,
        },
    }
    found = fleet(launch_template=None, mixed_instances_policy=policy)
    nodes = found.items[0]
    words = "a fleet `gpu` of 1 to 3 g5.xlarge or g5.12xlarge nodes, spot with the first 1 on demand"
    assert (nodes.what, nodes.basis) == (words, "spot: at most the on-demand price")
    assert nodes.usd_per_hour_running == load_catalog()["g5.12xlarge"].price_usd_per_hour
    simple = fleet(template={"instance_market_options": {"market_type": "spot"}})
    assert simple.items[0].what == "a fleet `gpu` of 1 to 3 g5.xlarge nodes, spot"


def test_reserved_capacity_is_paid_for_while_no_node_runs_and_a_block_was_paid_before() -> None:
    target = {"capacity_reservation_target": {"capacity_reservation_id": "cr-1"}}
    reserved = fleet(template={"capacity_reservation_specification": target})
    assert reserved.items[0].usd_per_hour_idle == G5
    assert reserved.items[0].basis == "the reservation is paid for whether nodes run or not"
    block = fleet(
        template={
            "instance_type": "p5.48xlarge",
            "instance_market_options": {"market_type": "capacity-block"},
            "capacity_reservation_specification": target,
        }
    )
    nodes = next(item for item in block.items if "p5.48xlarge" in item.what)
    assert (nodes.usd_per_hour_at_most, block.not_priced) == (0.0, ())
    assert nodes.basis == "paid for with the capacity block, up front"


def test_nodes_beyond_a_block_cost_what_their_other_way_of_buying_does() -> None:
    block = {
        "name": "x-gpu",
        "instance_type": "p5.48xlarge",
        "instance_market_options": {"market_type": "capacity-block"},
    }
    tags = [{"key": naming.TAG_FLEET, "value": "gpu"}, {"key": naming.TAG_MAX_NODES, "value": "5"}]
    group = {
        "name": "x-gpu", "min_size": 0, "desired_capacity": 1, "max_size": 1, "tag": tags,
        "launch_template": {"id": "${aws_launch_template.gpu.id}"},
    }  # fmt: skip
    resources = [
        Resource("aws_launch_template", "gpu", block),
        Resource("aws_autoscaling_group", "gpu", group),
    ]
    (alone,) = estimate(resources, "us-east-1").items
    assert alone.usd_per_hour_at_most == 0.0
    further = Resource("aws_launch_template", "gpu_market", {"name": "x-gpu.market"})
    (nodes,) = estimate([*resources, further], "us-east-1").items
    listed = load_catalog()["p5.48xlarge"].price_usd_per_hour
    assert (nodes.usd_per_hour_running, nodes.usd_per_hour_at_most) == (0.0, pytest.approx(4 * listed))
    assert nodes.basis.endswith("further nodes at most at the on-demand price")


def test_a_disk_faster_than_gp3_comes_costs_more() -> None:
    fast = [{"ebs": {"volume_size": 73, "volume_type": "gp3", "iops": 3730, "throughput": 125}}]
    assert fleet(template={"block_device_mappings": fast}).usd_per_hour_running == pytest.approx(
        G5 + 0.008 + 730 * 0.005 / 730
    )


@pytest.mark.parametrize(
    ("kind", "values", "hourly"),
    [
        ("nat_gateway", {}, 0.045),
        ("eip", {"domain": "vpc"}, 0.005),
        ("vpc_endpoint", {"vpc_endpoint_type": "Interface", "subnet_ids": ["a", "b", "c"]}, 0.03),
        ("vpc_endpoint", {"vpc_endpoint_type": "Gateway"}, 0),
        ("fsx_lustre_file_system", {"storage_capacity": 1200, "deployment_type": "SCRATCH_2"}, 168 / 730),
        (
            "fsx_lustre_file_system",
            {"storage_capacity": 2400, "deployment_type": "PERSISTENT_2", "per_unit_storage_throughput": 500},
            2400 * 0.34 / 730,
        ),
        ("efs_file_system", {"provisioned_throughput_in_mibps": 73}, 0.6),
        ("efs_file_system", {"throughput_mode": "elastic"}, 0),
        ("kms_key", {}, 1 / 730),
        ("cloudwatch_metric_alarm", {}, 0.1 / 730),
        ("ssm_parameter", {"type": "String"}, 0),
        ("cloudtrail", {"is_multi_region_trail": True}, 0),
        ("ec2_capacity_reservation", {"instance_type": "g5.xlarge", "instance_count": 2}, 2 * G5),
    ],
)
def test_what_stands_costs_the_same_idle_and_running(
    kind: str, values: dict[str, Any], hourly: float
) -> None:
    found = price(kind, **values)
    assert found.not_priced == ()
    assert found.usd_per_hour_running == pytest.approx(hourly)
    assert found.usd_per_hour_idle == found.usd_per_hour_at_most == found.usd_per_hour_running


def test_what_costs_by_use_is_named_with_its_price() -> None:
    assert [item.basis for item in price("efs_file_system", throughput_mode="elastic").items] == [
        "by use: 0.3 USD a GB a month, 0.03 USD a GB read, 0.06 USD a GB written"
    ]
    assert [item.usd_per_hour_running for item in price("cloudwatch_log_group").items] == [None]
    assert price("nat_gateway").items[1].basis == "by use: 0.045 USD a GB processed"
    assert price("cloudtrail", event_selector=[{"data_resource": []}]).items[0].unit_usd == 0.1


@pytest.mark.parametrize(
    ("kind", "values", "why"),
    [
        ("quantum_thing", {}, "no price for a quantum thing (aws_quantum_thing)"),
        ("vpc_endpoint", {"vpc_endpoint_type": "GatewayLoadBalancer"}, "an endpoint of type GatewayLoadBal"),
        ("instance", {"instance_type": "x9.huge"}, "no type x9.huge"),
        ("ebs_volume", {"type": "io2", "size": 9}, "no price for a disk of type io2"),
        (
            "fsx_lustre_file_system",
            {"storage_capacity": 6000, "deployment_type": "PERSISTENT_1", "storage_type": "HDD"},
            "no price for FSx PERSISTENT_1 on HDD",
        ),
    ],
)
def test_what_has_no_price_is_named_and_never_left_out(kind: str, values: dict[str, Any], why: str) -> None:
    found = price(kind, **values)
    assert found.items == () and why in found.not_priced[0]
    assert found.not_priced[0].startswith(f"aws_{kind}.it: ")


def test_an_unknown_instance_type_is_named_and_its_disk_is_still_priced() -> None:
    found = fleet(template={"instance_type": "x9.huge"})
    assert "no instance type x9.huge" in found.not_priced[0] and found.usd_per_hour_running == pytest.approx(
        0.008
    )


def test_a_region_without_prices_of_its_own_says_so() -> None:
    found = estimate([Resource("aws_kms_key", "k", {})], "eu-central-1")
    assert found.notes[1] == "the catalog has no prices of eu-central-1, which may differ"
    assert len(price("kms_key").notes) == 1
    assert json.loads(json.dumps(found.to_dict()))["items"][0]["region"] == "us-east-1"
