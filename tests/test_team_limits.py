"""What a team may spend is held against everything that its environments keep running."""

from __future__ import annotations

import datetime
import json
from pathlib import Path

import pytest

from fleet.estimate import estimate, resources_of
from fleet.priced import Resource
from stacks import naming
from stacks.app import read_declarations, synthesize
from stacks.catalog import load_catalog
from stacks.environment import EnvironmentSpec
from stacks.guardrails import check_directory
from stacks.price_rules import costs_per_hour
from tests.golden_environments import DECLARED, NAMES
from tests.golden_synth import BUNDLE
from tests.spec_files import ACCOUNT, environment_text, write_folder

TODAY = datetime.date(2026, 11, 22)
LIMITED = ACCOUNT + "\n[teams.vision]\nmax_usd_per_hour = 10.0\n"


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the six golden environments are synthesized, once."""
    folder = tmp_path_factory.mktemp("cdktf.out")
    account, specs = read_declarations(DECLARED, NAMES)
    synthesize(account, specs, BUNDLE, folder)
    return folder


def resources(out: Path, environment: str) -> list[Resource]:
    return [
        each
        for stack in naming.environment_stacks(environment)
        for each in resources_of(json.loads((out / "stacks" / stack / "cdk.tf.json").read_text()))
    ]


def blocks_usd(spec: EnvironmentSpec) -> float:
    """Return the hourly rate of the nodes out of capacity blocks, which the plan leaves out as paid."""
    return sum(
        fleet.max_nodes * load_catalog()[fleet.instance_type].price_usd_per_hour
        for fleet in spec.fleets.values()
        if fleet.purchase == "capacity_block"
    )


@pytest.mark.parametrize("name", NAMES)
def test_what_the_limit_counts_is_what_the_plan_shows(out: Path, name: str) -> None:
    account, (spec,) = read_declarations(DECLARED, [name])
    counted = sum(costs_per_hour(spec, account.region).values())
    shown = estimate(resources(out, name), spec.region).usd_per_hour_at_most
    assert counted == pytest.approx(shown + blocks_usd(spec))


def test_a_file_system_counts_towards_the_limit(tmp_path: Path) -> None:
    text = environment_text() + '\n[fsx]\nkind = "persistent"\nsize_gib = 100800\n'
    folder = write_folder(tmp_path, LIMITED, vision=text)
    (problem,), _ = check_directory(folder, today=TODAY)
    assert problem.path == "fsx.size_gib"
    assert "where 10 are allowed: vision " in problem.what and "(fast file system 20.02, " in problem.what


def test_nat_gateways_count_towards_the_limit(tmp_path: Path) -> None:
    account = LIMITED.replace("10.0", "4.33")
    plain = write_folder(tmp_path, account, vision=environment_text())
    assert check_directory(plain, today=TODAY)[0] == []
    text = environment_text(cidr='cidr = "10.20.0.0/16"\nnat = "per_zone"')
    (problem,), _ = check_directory(write_folder(tmp_path, account, vision=text), today=TODAY)
    assert "NAT 0.10" in problem.what


def test_a_limit_on_a_team_that_has_no_environment_warns_with_the_nearest_name(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, LIMITED.replace("teams.vision", "teams.vsion"), vision=environment_text())
    errors, (warning,) = check_directory(folder, today=TODAY)
    assert not errors
    assert warning.file.endswith("account.toml") and warning.path == "teams.vsion"
    assert "no effect" in warning.what and warning.do == "did you mean `vision`?"


def test_nobody_is_told_of_a_teams_absence_while_a_file_cannot_be_read(tmp_path: Path) -> None:
    account = LIMITED.replace("teams.vision", "teams.speech")
    folder = write_folder(tmp_path, account, vision=environment_text(), speech="name =")
    _, warnings = check_directory(folder, ["vision"], TODAY)
    assert [each.path for each in warnings if each.path.startswith("teams.")] == []


def test_a_fleet_that_runs_may_grow_counts_as_large_as_it_may_get(tmp_path: Path) -> None:
    account = LIMITED.replace("= 4\n", "= 64\n")
    text = environment_text(nodes="nodes = 0", max_nodes="max_nodes = 64")
    (problem,), _ = check_directory(write_folder(tmp_path, account, vision=text), today=TODAY)
    assert problem.path == "fleets" and "vision 65." in problem.what
    assert "counts with its max_nodes" in problem.do
    plain = text + '\n[scheduler]\nkind = "plain"\n'
    assert check_directory(write_folder(tmp_path, account, vision=plain), today=TODAY)[0] == []
