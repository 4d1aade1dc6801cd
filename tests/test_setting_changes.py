"""What docs/environment.md says that changing a setting does, held against the synthesized stacks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from stacks.app import read_declarations, synthesize
from stacks.environment import EnvironmentSpec
from stacks.fields import documented
from tests.golden_synth import BUNDLE, ENVIRONMENTS, stack_json

TOLD = "aws_ssm_parameter.outputs"
"""The outputs, which fleetform's own commands read."""
CLUSTER = {
    f"aws_s3_object.{name}" for name in ("cluster_cluster", "cluster_slurm", "cluster_gres", "idle_policy")
}
"""What the machines of a cluster are told of it and of idleness, those that run too."""
OTHERS: dict[str, Any] = {
    "instance_type": "g5.12xlarge",
    "root_volume_gib": 444,
    "image": "ami-0fedcba9876543210",
    "python": "/usr/bin/python3",
    "reservation": "cr-0fedcba9876543210",
    "placement": "spread",
    "zone": "us-east-1b",
    "efa": False,
    "scratch": "none",
}
"""Another value for each setting whose change new machines alone see."""
STARTING_POINT: dict[str, Any] = {
    "reservation": {"purchase": "capacity_reservation", "reservation": "cr-0123456789abcdef0"},
    "efa": {"instance_type": "g5.48xlarge"},
}
"""What the fleet is declared as beforehand, where a setting has no effect on the golden one."""
FOR_NEW_MACHINES = [
    doc.path for doc in documented(EnvironmentSpec) if doc.change == "new machines only" and not doc.table
]


def fleet_stack(folder: Path, spec: EnvironmentSpec) -> dict[str, Any]:
    """Return the resources and data sources of the environment's fleet stack by their address."""
    account, _ = read_declarations(ENVIRONMENTS, ["vision"])
    synthesize(account, [spec], BUNDLE, folder)
    content = stack_json(folder, "vision-fleet")
    sections = {"": content["resource"], "data.": content["data"]}
    return {
        f"{prefix}{kind}.{name}": body
        for prefix, kinds in sections.items()
        for kind, named in kinds.items()
        for name, body in named.items()
    }


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The golden environment's fleet stack as it stands."""
    return fleet_stack(tmp_path_factory.mktemp("before"), declared())


def declared() -> EnvironmentSpec:
    """Return the golden environment, its zones by name."""
    spec = read_declarations(ENVIRONMENTS, ["vision"])[1][0]
    network = spec.network.model_copy(update={"zone_names": ("us-east-1a", "us-east-1b")})
    return spec.model_copy(update={"network": network})


def edited(path: str, settings: dict[str, Any]) -> EnvironmentSpec:
    """Return the golden environment with settings of the head node or of the fleet gpu changed."""
    spec = declared()
    if path.startswith("head."):
        return spec.model_copy(update={"head": spec.head.model_copy(update=settings)})
    gpu = spec.fleets["gpu"].model_copy(update=settings)
    return spec.model_copy(update={"fleets": {**spec.fleets, "gpu": gpu}})


def changed(before: dict[str, Any], after: dict[str, Any]) -> set[str]:
    """Return the addresses that differ."""
    return {address for address in before.keys() | after.keys() if before.get(address) != after.get(address)}


@pytest.mark.parametrize("path", FOR_NEW_MACHINES)
def test_a_setting_for_new_machines_only_changes_what_they_start_from_and_no_number_of_them(
    path: str, before: dict[str, Any], tmp_path: Path
) -> None:
    key = path.rpartition(".")[2]
    start = STARTING_POINT.get(key, {})
    stands = fleet_stack(tmp_path / "stands", edited(path, start)) if start else before
    after = fleet_stack(tmp_path / "after", edited(path, {**start, key: OTHERS[key]}))
    own = "head" if path.startswith("head.") else "gpu"
    group = f"aws_autoscaling_group.{own}"
    # The image is looked up, and the template refers to what is found.
    started_from = {f"aws_launch_template.{own}", f"data.aws_ami.{own}", group}
    told = {f"data.aws_ssm_parameter.{own}", f"aws_placement_group.{own}", TOLD}
    assert changed(stands, after) & started_from
    assert changed(stands, after) <= started_from | told | CLUSTER
    # Which subnets a group is told is where it starts new machines: nothing rebalances those that run.
    assert changed(stands[group], after[group]) <= {"vpc_zone_identifier"}


def test_no_group_replaces_its_machines_by_itself(before: dict[str, Any]) -> None:
    groups = {
        address: body for address, body in before.items() if address.startswith("aws_autoscaling_group.")
    }
    assert len(groups) == 3
    for body in groups.values():
        assert not {"instance_refresh", "max_instance_lifetime", "capacity_rebalance"} & set(body)
        assert body["suspended_processes"] == ["AZRebalance"]


def test_other_numbers_of_nodes_change_their_group_and_nothing_that_it_starts_from(
    before: dict[str, Any], tmp_path: Path
) -> None:
    after = fleet_stack(tmp_path, edited("fleets.NAME.nodes", {"nodes": 1}))
    assert changed(before, after) - CLUSTER == {"aws_autoscaling_group.gpu", TOLD}
    assert after["aws_autoscaling_group.gpu"]["desired_capacity"] == 1
