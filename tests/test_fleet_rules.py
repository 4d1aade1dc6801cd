"""The guardrails on fleets: how they are bought, where they stand, what they cost; each shows its message."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest

from stacks.guardrails import check_directory, check_new
from stacks.problems import Problem, UserError
from tests.spec_files import ACCOUNT, environment_text, write_folder

TODAY = datetime.date(2026, 11, 22)
BLOCK = 'reservation = "cr-0123456789abcdef0"'


def fleet(
    *lines: str, kind: str = "g5.xlarge", most: int = 4, region: str = "us-east-1", zones: str = ""
) -> str:
    """Return a good environment whose fleet has these further lines."""
    text = environment_text(
        instance_type=f'instance_type = "{kind}"',
        max_nodes=f"max_nodes = {most}",
        nodes="nodes = 1",
        region=f'region = "{region}"',
    )
    named = f"zone_names = [{zones}]\n" if zones else ""
    return text.replace("\n[fleets.gpu]", f"{named}\n[fleets.gpu]") + "\n".join(lines) + "\n"


def check(tmp_path: Path, text: str, account: str = ACCOUNT) -> tuple[list[Problem], list[Problem]]:
    return check_directory(write_folder(tmp_path, account=account, vision=text), today=TODAY)


ERRORS: list[tuple[str, str, str, str]] = [
    (
        fleet('purchase = "capacity_reservation"', zones='"us-east-1a"'),
        "fleets.gpu.reservation",
        "come out of a capacity reservation, and none is named",
        "cr-0123456789abcdef0",
    ),
    (
        fleet('purchase = "capacity_block"', kind="p5.48xlarge", zones='"us-east-1a"'),
        "fleets.gpu.reservation",
        "come out of a capacity block, and none is named",
        "write its id",
    ),
    (
        fleet(BLOCK),
        "fleets.gpu.reservation",
        "cr-0123456789abcdef0 is named, and the nodes are bought outside of it (`on_demand`)",
        "leave the id out",
    ),
    (
        fleet(
            'purchase = "capacity_block"',
            BLOCK,
            'placement = "spread"',
            "efa = false",
            kind="p5.48xlarge",
            most=1,
        ),
        "fleets.gpu.placement",
        "a capacity block lies in one zone, and the fleet is spread over all",
        '"together"',
    ),
    (
        fleet('purchase = "capacity_block"', BLOCK, zones='"us-east-1a"'),
        "fleets.gpu.purchase",
        "EC2 sells no g5.xlarge in capacity blocks",
        "p4d, p4de, p5, p5e, p5en",
    ),
    (
        fleet(kind="p5e.48xlarge"),
        "fleets.gpu.purchase",
        "EC2 sells p5e.48xlarge in capacity blocks alone",
        '`purchase` to "capacity_block"',
    ),
    (
        fleet('purchase = "spot"', "on_demand_base = 5", 'placement = "spread"'),
        "fleets.gpu.on_demand_base",
        "5 nodes on demand where max_nodes is 4",
        "lower it below 4",
    ),
    (
        fleet('zone = "us-east-1d"', zones='"us-east-1a", "us-east-1b"'),
        "fleets.gpu.zone",
        "us-east-1d is none of `network.zone_names`",
        "known: us-east-1a, us-east-1b",
    ),
    (
        fleet('zone = "us-east-1a"'),
        "fleets.gpu.zone",
        "us-east-1a is none of `network.zone_names`",
        "name the network's zones there",
    ),
    (
        fleet('image = "ssm:/aws/service/deeplearning/ami/arm64/oss-nvidia-driver-gpu/latest/ami-id"'),
        "fleets.gpu.image",
        "g5.xlarge would start an image for ARM",
        "x86_64",
    ),
    (
        fleet('image = "ssm:/aws/service/neuron/dlami/pytorch-2.7/ubuntu-22.04/latest/image_id"'),
        "fleets.gpu.image",
        "g5.xlarge would start an image for AWS's Trainium",
        "an image with the NVIDIA driver",
    ),
]


@pytest.mark.parametrize(("text", "path", "what", "do"), ERRORS)
def test_a_rule_finds_its_mistake_and_no_other(
    tmp_path: Path, text: str, path: str, what: str, do: str
) -> None:
    (problem,), warnings = check(tmp_path, text)
    assert problem.path == path and what in problem.what and do in problem.do
    assert not warnings


WARNINGS: list[tuple[str, str, str, str]] = [
    (
        fleet("efa = true"),
        "fleets.gpu.efa",
        "efa has no effect: g5.xlarge has no fabric adapter",
        "take the line out",
    ),
    (
        fleet("on_demand_base = 1"),
        "fleets.gpu.on_demand_base",
        "on_demand_base has no effect: no node is spot where `purchase` is `on_demand`",
        "leave it out",
    ),
    (
        fleet('purchase = "spot"'),
        "fleets.gpu.purchase",
        "a run on several nodes then loses all since its last checkpoint",
        "run what writes checkpoints",
    ),
    (
        fleet(
            'purchase = "capacity_reservation"',
            BLOCK,
            'placement = "together"',
            'zone = "us-east-1a"',
            kind="p4d.24xlarge",
            zones='"us-east-1a"',
        ),
        "fleets.gpu.placement",
        "gives this fleet one zone, but no placement group: cr-0123456789abcdef0 has its place already",
        "leave it out",
    ),
    (
        fleet('placement = "spread"', 'zone = "us-east-1a"', zones='"us-east-1a", "us-east-1b"'),
        "fleets.gpu.zone",
        "zone has no effect: the fleet is spread over all zones",
        "leave it out",
    ),
    (
        fleet('purchase = "capacity_block"', BLOCK, kind="p5.48xlarge"),
        "fleets.gpu.zone",
        "the nodes start in the network's first zone, and a reservation holds capacity in its own",
        "name the reservation's zone",
    ),
    (
        fleet("efa = false", kind="p5.48xlarge", most=2),
        "fleets.gpu.efa",
        "p5.48xlarge has 32 fabric adapters, and the nodes get none",
        "unless every run has one node",
    ),
    (
        fleet('placement = "spread"', kind="g5.48xlarge", most=2),
        "fleets.gpu.placement",
        "g5.48xlarge has 1 fabric adapter, and the nodes get none: they do not reach from zone to zone",
        '"together"',
    ),
]


@pytest.mark.parametrize(("text", "path", "what", "do"), WARNINGS)
def test_what_is_likely_not_meant_is_a_warning_and_no_other(
    tmp_path: Path, text: str, path: str, what: str, do: str
) -> None:
    errors, (warning,) = check(tmp_path, text)
    assert not errors
    assert warning.path == path and what in warning.what and do in warning.do


def test_a_region_that_was_not_seen_to_have_the_type_is_a_warning(tmp_path: Path) -> None:
    text = fleet(region="eu-south-1", kind="p5.48xlarge", most=1)
    errors, (warning,) = check(tmp_path, text, ACCOUNT.replace("us-east-1", "eu-south-1"))
    assert not errors and warning.path == "fleets.gpu.instance_type"
    assert warning.what == "eu-south-1 had no p5 when the catalog was made"
    assert "us-west-2" in warning.do


FINE = [
    fleet(),
    fleet(most=1, kind="p5.48xlarge"),
    fleet(
        'purchase = "spot"', "on_demand_base = 1", 'placement = "spread"', zones='"us-east-1a", "us-east-1b"'
    ),
    fleet('purchase = "spot"', most=1),
    fleet("efa = false", kind="p5.48xlarge", most=1),
    fleet("efa = false", 'placement = "spread"', kind="g5.xlarge"),
    fleet('scratch = "none"'),
    fleet('placement = "spread"', kind="p5.48xlarge", most=1),
    fleet(
        'purchase = "capacity_block"', BLOCK, 'zone = "us-east-1a"', kind="p5e.48xlarge", zones='"us-east-1a"'
    ),
    fleet('purchase = "capacity_reservation"', BLOCK, zones='"us-east-1a"', kind="p4d.24xlarge"),
    fleet().replace("nodes = 1\n", "nodes = 0\n"),
]


@pytest.mark.parametrize("text", FINE)
def test_what_is_meant_passes_without_a_word(tmp_path: Path, text: str) -> None:
    assert check(tmp_path, text) == ([], [])


def test_trainium_with_an_image_for_gpus_is_refused_and_that_recipes_do_not_run_there_is_told(
    tmp_path: Path,
) -> None:
    (problem,), (warning,) = check(tmp_path, fleet(kind="trn1.32xlarge", most=1))
    assert problem.path == "fleets.gpu.image"
    assert problem.what == "trn1.32xlarge would start an image for NVIDIA's GPUs"
    assert "Neuron" in problem.do
    assert warning.what == "trn1.32xlarge has 16 Trainium and no GPU: no recipe runs on them"
    neuron = 'image = "ssm:/aws/service/neuron/dlami/pytorch-2.7/ubuntu-22.04/latest/image_id"'
    assert check(tmp_path, fleet(neuron, kind="trn1.32xlarge", most=1))[0] == []


def test_disks_that_a_type_lacks_are_not_joined_and_only_saying_so_warns(tmp_path: Path) -> None:
    errors, warnings = check(tmp_path, fleet('scratch = "raid0"', kind="m6i.large", most=1))
    assert not errors
    (warning,) = [each for each in warnings if each.path == "fleets.gpu.scratch"]
    assert warning.what == "scratch has no effect: m6i.large has no local disk"
    for quiet in ("", 'scratch = "none"'):
        _, warnings = check(tmp_path, fleet(quiet, kind="m6i.large", most=1))
        assert [each.path for each in warnings] == ["fleets.gpu.instance_type"]


def test_a_burstable_fleet_without_a_placement_group_passes(tmp_path: Path) -> None:
    errors, (warning,) = check(tmp_path, fleet('placement = "spread"', kind="t3.large"))
    assert not errors and "train on the CPU" in warning.what


LIMITED = ACCOUNT + "\n[teams.vision]\nmax_usd_per_hour = 10.0\n"
DEAR = environment_text("dear", "10.30.0.0/16", instance_type='instance_type = "g5.12xlarge"')


def test_a_team_over_its_limit_is_told_what_each_environment_costs(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, LIMITED, dear=DEAR, vision=environment_text())
    (problem,), _ = check_directory(folder, today=TODAY)
    # Four g5.12xlarge and four g5.xlarge, to which runs may bring the fleets, each with a head node.
    assert problem.what == (
        "what the team vision declares would cost 27.30 USD an hour at list price where 10 are allowed: "
        "dear 22.98 (machines 22.78, endpoints 0.14, disks 0.06), "
        "vision 4.32 (machines 4.12, endpoints 0.14, disks 0.06)"
    )
    assert problem.file.endswith("dear.toml") and "teams.vision.max_usd_per_hour" in problem.do


def test_a_team_within_its_limit_and_another_team_pass(tmp_path: Path) -> None:
    other = DEAR.replace('team = "vision"', 'team = "speech"')
    folder = write_folder(tmp_path, LIMITED, dear=other, vision=environment_text())
    assert check_directory(folder, today=TODAY) == ([], [])


def test_the_limit_of_a_team_is_told_only_where_its_environment_was_asked_about(tmp_path: Path) -> None:
    speech = environment_text("speech", "10.40.0.0/16", team='team = "speech"')
    folder = write_folder(tmp_path, LIMITED, dear=DEAR, speech=speech, vision=environment_text())
    assert check_directory(folder, ["speech"], TODAY) == ([], [])
    (problem,), _ = check_directory(folder, ["vision"], TODAY)
    assert problem.file.endswith("vision.toml")


def test_a_new_environment_counts_towards_its_teams_limit(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, LIMITED, vision=environment_text())
    settings = {
        "name": "dear",
        "team": "vision",
        "owner": "v@example.com",
        "region": "us-east-1",
        "lease_ends": datetime.date(2026, 12, 31),
        "network": {"cidr": "10.30.0.0/16"},
        "fleets": {"gpu": {"instance_type": "g5.12xlarge", "nodes": 2, "max_nodes": 2}},
    }
    (problem,) = check_new(folder, "dear", settings, today=TODAY)
    assert "15.94 USD an hour" in problem.what


TEN = """\
name = "vision"
team = "vision"
owner = "vision@example.com"
region = "us-east-1"
lease_ends = 2026-11-01

[network]
cidr = "11.20.0.0/16"
zone_names = ["us-east-1a", "us-east-1b"]

[fleets.train]
instance_type = "p5.48xlrge"
nodes = 3
max_nodes = 2

[fleets.block]
instance_type = "g5.xlarge"
nodes = 1
max_nodes = 1
purchase = "capacity_block"
zone = "us-east-1f"

[fleets.cheap]
instance_type = "t3.large"
nodes = 1
max_nodes = 1
purchase = "spot"
on_demand_base = 2
image = "ssm:/acme/images/arm64/latest"
"""


def test_a_file_with_ten_mistakes_gets_ten_findings_in_one_answer(tmp_path: Path) -> None:
    errors, _ = check(tmp_path, TEN)
    assert sorted(problem.path for problem in errors) == [
        "fleets.block.purchase",
        "fleets.block.reservation",
        "fleets.block.zone",
        "fleets.cheap.image",
        "fleets.cheap.instance_type",
        "fleets.cheap.on_demand_base",
        "fleets.train.instance_type",
        "fleets.train.nodes",
        "lease_ends",
        "network.cidr",
    ]
    told = str(UserError(errors))
    assert all(problem.what in told and problem.do in told for problem in errors)
    assert len(errors) == 10


@pytest.mark.parametrize("user", ["root", "ubuntu", "ssm-user"])
def test_sessions_as_a_user_that_may_become_root_are_refused(tmp_path: Path, user: str) -> None:
    account = f'{ACCOUNT}\n[sessions]\nrun_as = "{user}"\n'
    (problem,), _ = check(tmp_path, environment_text(), account)
    assert problem.path == "sessions.run_as" and problem.file.endswith("account.toml")
    assert problem.what == f"{user} is there already on AWS's images, and may become root"
    assert "without sudo" in problem.do


def test_more_fleets_than_can_be_published_are_refused(tmp_path: Path) -> None:
    one = '[fleets.f{}]\ninstance_type = "g5.xlarge"\nnodes = 0\nmax_nodes = 1\nplacement = "spread"\n'
    text = environment_text().partition("[fleets.gpu]")[0]
    account = ACCOUNT.replace("= 4", "= 100")
    assert check(tmp_path, text + "".join(map(one.format, range(9))), account) == ([], [])
    (problem,), _ = check(tmp_path, text + "".join(map(one.format, range(16))), account)
    assert problem.path == "fleets"
    assert "16 fleets" in problem.what and "Systems Manager parameter has 4096" in problem.what
