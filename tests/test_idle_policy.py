"""The table `[idle]` of an environment's file: what it says where it says nothing, and what becomes of it."""

from __future__ import annotations

import datetime
import json
from pathlib import Path

import pytest

from node.idle import Group, parse_policy
from stacks.endpoint_services import interface_services
from stacks.environment import EnvironmentSpec, load_environment
from stacks.guardrails import check_directory
from stacks.idle_policy import POLICY_KEY, idle_statements, policy_text
from stacks.idle_spec import IdleSpec
from stacks.place import Place
from tests.spec_files import environment_text, write_folder

TODAY = datetime.date(2026, 11, 22)
HERE = Place(partition="aws", region="us-east-1", account_id="123456789012")


def spec(root: Path, more: str = "") -> EnvironmentSpec:
    write_folder(root, vision=environment_text() + more)
    return load_environment(root / "environments" / "vision.toml")


def warnings(root: Path, more: str) -> list[str]:
    errors, found = check_directory(write_folder(root, vision=environment_text() + more), today=TODAY)
    assert errors == []
    return [each.path for each in found]


def test_runs_are_looked_at_and_nodes_stand_where_the_file_says_nothing(tmp_path: Path) -> None:
    idle = spec(tmp_path).idle
    assert (idle.step_minutes, idle.start_minutes, idle.grace_minutes) == (30, 120, 15)
    assert (idle.without_steps, idle.node_minutes, idle.node_policy) == ("leave", 0, "")


def test_the_head_reads_what_the_stack_writes(tmp_path: Path) -> None:
    from node import idle

    found = spec(tmp_path, '[idle]\nnode_minutes = 60\nwithout_steps = "log"\n')
    policy = parse_policy(policy_text(found).encode())
    assert policy is not None
    assert (policy.step, policy.start, policy.grace) == (1800, 7200, 900)
    assert (policy.without_steps, policy.marks_nodes) == ("log", True)
    assert set(policy.groups) == set(found.fleets)
    for name, group in policy.groups.items():
        assert group == Group(f"vision-{name}", found.fleets[name].nodes)
    assert idle.POLICY_KEY == POLICY_KEY
    assert found.idle.node_policy == "60+15"


@pytest.mark.parametrize(
    ("more", "paths"),
    [
        ("[idle]\n", []),
        ("[idle]\nnode_minutes = 60\n", []),
        ("[idle]\nstep_minutes = 0\nstart_minutes = 60\n", ["idle.start_minutes"]),
        ('[idle]\nstep_minutes = 0\nwithout_steps = "log"\n', ["idle.without_steps"]),
    ],
)
def test_a_setting_that_has_no_effect_is_a_warning(tmp_path: Path, more: str, paths: list[str]) -> None:
    assert warnings(tmp_path, more) == paths


def test_a_head_may_size_groups_only_where_idle_fleets_are_given_up(tmp_path: Path) -> None:
    def actions(found: EnvironmentSpec) -> set[str]:
        told = (each["Action"] for each in idle_statements(found, HERE))
        return {action for each in told for action in ([each] if isinstance(each, str) else each)}

    assert actions(spec(tmp_path)) == {"ec2:CreateTags"}
    more = spec(tmp_path, "[idle]\nnode_minutes = 60\n")
    assert actions(more) == {
        "ec2:CreateTags", "autoscaling:DescribeAutoScalingGroups", "autoscaling:SetDesiredCapacity",
    }  # fmt: skip
    told = json.dumps(idle_statements(more, HERE))
    assert "fleetform:environment" in told and '"vision"' in told


def test_a_closed_network_gets_the_endpoint_that_waking_a_fleet_needs(tmp_path: Path) -> None:
    found = spec(tmp_path, "[idle]\nnode_minutes = 60\n")
    closed = found.model_copy(update={"network": found.network.model_copy(update={"nat": "none"})})
    assert not closed.network.reaches_out
    assert "autoscaling" in interface_services(closed, "us-east-1")
    quiet = closed.model_copy(update={"idle": IdleSpec()})
    assert "autoscaling" not in interface_services(quiet, "us-east-1")
