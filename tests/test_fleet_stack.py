"""What each way of buying and placing a fleet becomes in Terraform."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from stacks.app import read_declarations, synthesize
from stacks.catalog import load_catalog
from stacks.environment import EnvironmentSpec
from stacks.fleet_spec import FleetSpec
from stacks.interfaces import addresses, interfaces
from stacks.outputs import EnvironmentOutputs
from tests.golden_synth import BUNDLE, ENVIRONMENTS, stack_json

BASE = "${data.terraform_remote_state.base.outputs.subnet_id_%d}"
BLOCK = "cr-0123456789abcdef0"
FLEETS: dict[str, dict[str, Any]] = {
    "plain": {"instance_type": "g5.xlarge"},
    "cheap": {
        "instance_type": "g5.xlarge",
        "purchase": "spot",
        "on_demand_base": 1,
        "placement": "spread",
    },
    "close": {"instance_type": "g5.48xlarge", "purchase": "spot", "zone": "us-east-1c"},
    "held": {"instance_type": "p4d.24xlarge", "purchase": "capacity_reservation", "reservation": BLOCK},
    "block": {
        "instance_type": "p5.48xlarge",
        "purchase": "capacity_block",
        "reservation": BLOCK,
        "zone": "us-east-1b",
    },
    "tcp": {"instance_type": "p5.48xlarge", "efa": False},
    "apart": {"instance_type": "p5.48xlarge", "placement": "spread"},
    "bare": {"instance_type": "g5.xlarge", "scratch": "none"},
}


def fleet(**settings: Any) -> FleetSpec:
    """Return a fleet of two nodes with these settings."""
    return FleetSpec(**{"nodes": 2, "max_nodes": 4, **settings})


def declared() -> EnvironmentSpec:
    """Return the golden environment with all of these fleets, over three zones."""
    spec = read_declarations(ENVIRONMENTS, ["vision"])[1][0]
    network = spec.network.model_copy(update={"zone_names": ("us-east-1a", "us-east-1b", "us-east-1c")})
    fleets = {name: fleet(**settings) for name, settings in FLEETS.items()}
    return spec.model_copy(update={"network": network, "fleets": fleets})


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The resources of the fleet stack by type and name."""
    out = tmp_path_factory.mktemp("fleets")
    account, _ = read_declarations(ENVIRONMENTS, ["vision"])
    synthesize(account, [declared()], BUNDLE, out)
    found: dict[str, Any] = stack_json(out, "vision-fleet")["resource"]
    return found


def template(made: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = made["aws_launch_template"][name]
    return found


def group(made: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = made["aws_autoscaling_group"][name]
    return found


def test_a_fleet_on_demand_is_started_from_its_template_alone(made: dict[str, Any]) -> None:
    assert group(made, "plain")["launch_template"]["id"] == "${aws_launch_template.plain.id}"
    assert "mixed_instances_policy" not in group(made, "plain")
    assert not {"capacity_reservation_specification", "instance_market_options"} & set(
        template(made, "plain")
    )


@pytest.mark.parametrize(("name", "on_demand"), [("cheap", 1), ("close", 0)])
def test_a_spot_fleet_buys_its_first_nodes_on_demand_and_all_others_where_they_last(
    made: dict[str, Any], name: str, on_demand: int
) -> None:
    policy = group(made, name)["mixed_instances_policy"]
    assert policy["instances_distribution"] == {
        "on_demand_base_capacity": on_demand,
        "on_demand_percentage_above_base_capacity": 0,
        "spot_allocation_strategy": "price-capacity-optimized",
    }
    started_from = policy["launch_template"]["launch_template_specification"]
    assert started_from["launch_template_id"] == f"${{aws_launch_template.{name}.id}}"
    assert "launch_template" not in group(made, name)
    # Spot in the template as well would be refused by Auto Scaling.
    assert "instance_market_options" not in template(made, name)


def test_reserved_fleets_start_in_their_reservation_and_nowhere_else(made: dict[str, Any]) -> None:
    target = {"capacity_reservation_target": {"capacity_reservation_id": BLOCK}}
    for name in ("held", "block"):
        assert template(made, name)["capacity_reservation_specification"] == target
    assert template(made, "block")["instance_market_options"] == {"market_type": "capacity-block"}
    assert "instance_market_options" not in template(made, "held")


def test_only_fleets_that_stand_together_and_are_not_reserved_have_a_placement_group(
    made: dict[str, Any],
) -> None:
    assert set(made["aws_placement_group"]) == {"plain", "close", "tcp", "bare"}
    for name in FLEETS:
        placed = template(made, name)["placement"].get("group_name")
        assert placed == (
            f"${{aws_placement_group.{name}.name}}" if name in made["aws_placement_group"] else None
        )


@pytest.mark.parametrize(
    ("name", "zones"), [("plain", [0]), ("block", [1]), ("close", [2]), ("cheap", [0, 1, 2])]
)
def test_a_fleet_stands_in_its_zone_or_in_all(made: dict[str, Any], name: str, zones: list[int]) -> None:
    assert group(made, name)["vpc_zone_identifier"] == [BASE % zone for zone in zones]
    told = EnvironmentOutputs.from_json(made["aws_ssm_parameter"]["outputs"]["insecure_value"]).fleets[name]
    assert list(told.subnet_ids) == [BASE % zone for zone in zones]


def test_the_outputs_say_how_each_fleet_is_bought_and_placed(made: dict[str, Any]) -> None:
    outputs = EnvironmentOutputs.from_json(made["aws_ssm_parameter"]["outputs"]["insecure_value"])
    told = {
        name: (each.purchase, each.placement, each.placement_group, each.efa)
        for name, each in outputs.fleets.items()
    }
    assert told == {
        "plain": ("on_demand", "together", True, False),
        "cheap": ("spot", "spread", False, False),
        "close": ("spot", "together", True, True),
        "held": ("capacity_reservation", "together", False, True),
        "block": ("capacity_block", "together", False, True),
        "tcp": ("on_demand", "together", True, False),
        "apart": ("on_demand", "spread", False, False),
        "bare": ("on_demand", "together", True, False),
    }


def test_a_p5_node_has_32_adapters_on_32_cards_and_one_address(made: dict[str, Any]) -> None:
    first, *adapters = template(made, "block")["network_interfaces"]
    assert (first["network_card_index"], first["device_index"]) == (0, 0)
    assert first["interface_type"] == "interface"
    assert {each["interface_type"] for each in adapters} == {"efa-only"}
    assert [each["network_card_index"] for each in adapters] == list(range(32))
    places = {(each["network_card_index"], each["device_index"]) for each in (first, *adapters)}
    assert len(places) == 33
    assert addresses(fleet(**FLEETS["block"])) == 1


def test_a_p4d_node_has_an_adapter_with_an_address_on_each_card(made: dict[str, Any]) -> None:
    found = template(made, "held")["network_interfaces"]
    assert [(each["network_card_index"], each["device_index"]) for each in found] == [
        (0, 0),
        (1, 1),
        (2, 1),
        (3, 1),
    ]
    assert {each["interface_type"] for each in found} == {"efa"}
    assert addresses(fleet(**FLEETS["held"])) == 4


@pytest.mark.parametrize("name", ["plain", "cheap", "tcp", "apart"])
def test_without_adapters_a_node_has_one_ordinary_interface_and_no_public_address(
    made: dict[str, Any], name: str
) -> None:
    (only,) = template(made, name)["network_interfaces"]
    assert only["associate_public_ip_address"] == "false"
    assert "interface_type" not in only
    assert addresses(fleet(**FLEETS[name])) == 1


def test_every_interface_is_in_the_group_that_reaches_itself(made: dict[str, Any]) -> None:
    for each in made["aws_launch_template"].values():
        for interface in each["network_interfaces"]:
            assert interface["security_groups"] == [
                "${data.terraform_remote_state.base.outputs.nodes_security_group_id}"
            ]


@pytest.mark.parametrize("name", [name for name, each in load_catalog().items() if each.efa_interfaces])
def test_every_adapter_of_a_type_is_taken_each_on_a_card_of_its_own(name: str) -> None:
    found, known = interfaces(fleet(instance_type=name)), load_catalog()[name]
    adapters = [each for each in found if each.kind != "interface"]
    assert len(adapters) == known.efa_interfaces == len({each.card for each in adapters})
    assert max(each.card for each in adapters) == known.network_cards - 1
    assert (found[0].card, found[0].device) == (0, 0) and found[0].kind != "efa-only"
    assert len({(each.card, each.device) for each in found}) == len(found)


def test_the_first_card_of_p6_b300_carries_no_adapter() -> None:
    assert [each.kind for each in interfaces(fleet(instance_type="p6-b300.48xlarge")) if each.card == 0] == [
        "interface"
    ]


def test_no_machine_has_a_key_pair_a_public_address_or_the_old_metadata_service(made: dict[str, Any]) -> None:
    assert set(made["aws_launch_template"]) == {"head", *FLEETS}
    for each in made["aws_launch_template"].values():
        assert "key_name" not in each and "monitoring" not in each
        assert each["metadata_options"] == {
            "http_endpoint": "enabled",
            "http_tokens": "required",
            "http_put_response_hop_limit": 1,
        }
        assert "true" not in {
            interface.get("associate_public_ip_address") for interface in each["network_interfaces"]
        }


def test_fleets_do_not_touch_the_head(made: dict[str, Any], tmp_path: Path) -> None:
    account, _ = read_declarations(ENVIRONMENTS, ["vision"])
    synthesize(account, [declared().model_copy(update={"fleets": {}})], BUNDLE, tmp_path)
    alone = stack_json(tmp_path, "vision-fleet")["resource"]
    assert alone["aws_launch_template"]["head"] == template(made, "head")
    assert json.dumps(alone["aws_autoscaling_group"]["head"]) == json.dumps(group(made, "head"))
