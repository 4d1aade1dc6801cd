"""The guardrails on networks, and how the addresses of a subnet are counted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from scripts import cli
from stacks.address_plan import plan_addresses
from stacks.environment import load_environment
from stacks.guardrails import check_directory, plan_folder
from stacks.problems import Problem
from tests.spec_files import ACCOUNT, LONG_LEASES, environment_text, write_folder
from tests.test_guardrails import TODAY

VPC = 'vpc_id = "vpc-0123456789abcdef0"'
TWO = 'subnet_ids = ["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"]'


def check_network(
    tmp_path: Path, *lines: str, region: str = "us-east-1"
) -> tuple[list[Problem], list[Problem]]:
    """Check a good environment with these lines in its table `network`."""
    block = next((line for line in lines if line.startswith("cidr")), 'cidr = "10.20.0.0/16"')
    table = "\n".join([block, *(line for line in lines if line != block)])
    text = environment_text(cidr=table, region=f'region = "{region}"')
    return check_directory(write_folder(tmp_path, vision=text), today=TODAY)


ERRORS = [
    ([VPC], "network.subnet_ids", "no subnet of vpc-0123456789abcdef0 is named", "one a zone"),
    ([TWO], "network.vpc_id", "not the VPC that they are in", "or no subnets"),
    (['endpoints = "existing"'], "network.endpoints", "no endpoints but those that are made", '"made"'),
    (["closed = true", 'nat = "one"'], "network.nat", "would not be closed", 'set it to "none"'),
    (["closed = true", VPC, TWO], "network.closed", "would hold for everything else", "leave out `vpc_id`"),
    (
        ['zone_names = ["eu-west-1a", "us-east-1b"]'],
        "network.zone_names",
        "eu-west-1a is no zone of us-east-1",
        "`us-east-1a`",
    ),
    (
        ['zone_names = ["us-east-1a", "us-east-1a"]'],
        "network.zone_names",
        "us-east-1a is named twice",
        "once",
    ),
    (
        [VPC, 'subnet_ids = ["subnet-0123456789abcdef0", "subnet-0123456789abcdef0"]'],
        "network.subnet_ids",
        "subnet-0123456789abcdef0 is named twice",
        "once",
    ),
    (
        [VPC, TWO, 'zone_names = ["us-east-1a"]'],
        "network.zone_names",
        "1 zones for 2 subnets",
        "in the same order",
    ),
    (
        ['cidr = "10.20.0.0/24"', "zones = 6", 'nat = "per_zone"'],
        "network.cidr",
        "room for 2 public subnets beside the private ones, and 6 NAT gateways",
        "a larger block",
    ),
]


@pytest.mark.parametrize(("lines", "path", "what", "do"), ERRORS)
def test_a_choice_that_cannot_be_built_is_refused_alone(
    tmp_path: Path, lines: list[str], path: str, what: str, do: str
) -> None:
    (problem,), warnings = check_network(tmp_path, *lines)
    assert (problem.path, warnings) == (path, [])
    assert what in problem.what and do in problem.do


GOOD = [
    ['nat = "per_zone"', 'flow_logs = "all"', "flow_log_days = 30"],
    ["closed = true", 'flow_logs = "rejected"'],
    ['zone_names = ["us-east-1b", "us-east-1d"]', 'nat = "one"'],
    [VPC, TWO],
    [VPC, TWO, 'endpoints = "existing"', 'nat = "one"'],
    [VPC, TWO, 'zone_names = ["us-east-1b", "us-east-1d"]'],
    [VPC, TWO, 'cidr = "100.64.0.0/16"'],
    ["zones = 6"],
    ['zone_names = ["us-east-1b", "us-east-1d"]', "zones = 2"],
]


@pytest.mark.parametrize("lines", GOOD)
def test_a_choice_that_can_be_built_has_nothing_to_tell(tmp_path: Path, lines: list[str]) -> None:
    assert check_network(tmp_path, *lines) == ([], [])


IGNORED = [
    (['zone_names = ["us-east-1a"]', "zones = 3"], "network.zones", "`zone_names` says that there are 1"),
    ([VPC, TWO, "zones = 3"], "network.zones", "`subnet_ids` says that there are 2"),
    ([VPC, TWO, 'flow_logs = "all"'], "network.flow_logs", "is not the environment's"),
    (["flow_log_days = 30"], "network.flow_log_days", "no effect without flow logs"),
]


@pytest.mark.parametrize(("lines", "path", "what"), IGNORED)
def test_a_setting_without_effect_is_a_warning(
    tmp_path: Path, lines: list[str], path: str, what: str
) -> None:
    errors, (warning,) = check_network(tmp_path, *lines)
    assert (errors, warning.path) == ([], path) and what in warning.what


@pytest.mark.parametrize(("region", "most"), [("us-east-1", 6), ("us-west-2", 4), ("eu-central-1", 3)])
def test_a_network_spans_no_more_zones_than_its_region_has(tmp_path: Path, region: str, most: int) -> None:
    assert check_network(tmp_path, f"zones = {most}", region=region)[0] == []
    if most < 6:
        (problem,), _ = check_network(tmp_path, f"zones = {most + 1}", region=region)
        assert (problem.path, problem.do) == ("network.zones", f"take {most} or fewer")


def test_mistakes_of_one_network_are_told_at_once(tmp_path: Path) -> None:
    lines = ['cidr = "11.0.0.0/30"', "closed = true", 'nat = "one"', 'endpoints = "existing"', "zones = 4"]
    errors, _ = check_network(tmp_path, *lines, region="eu-central-1")
    assert [problem.path for problem in errors] == [
        "network.cidr",
        "network.cidr",
        "network.zones",
        "network.endpoints",
        "network.nat",
    ]


def in_a_vpc(name: str, *, block: str = "10.20.0.0/16", endpoints: str = "made") -> str:
    """Return an environment in the VPC that several share."""
    lines = f'cidr = "{block}"\n{VPC}\n{TWO}\nendpoints = "{endpoints}"'
    return environment_text(name, cidr=lines)


def check_two(tmp_path: Path, first: str, second: str) -> list[Problem]:
    """Return the errors of a folder with two environments."""
    return check_directory(write_folder(tmp_path, speech=first, vision=second), today=TODAY)[0]


def test_environments_may_share_an_existing_vpc_and_its_subnets(tmp_path: Path) -> None:
    assert not check_two(tmp_path, in_a_vpc("speech"), in_a_vpc("vision", endpoints="existing"))


def test_the_endpoints_of_one_vpc_are_made_by_one_environment(tmp_path: Path) -> None:
    (problem,) = check_two(tmp_path, in_a_vpc("speech"), in_a_vpc("vision"))
    assert (problem.path, problem.what) == (
        "network.endpoints",
        "vision and speech would both make the endpoints of vpc-0123456789abcdef0",
    )
    assert 'set it to "existing"' in problem.do and problem.file.endswith("vision.toml")


def test_a_shared_vpc_has_no_two_blocks_that_overlap(tmp_path: Path) -> None:
    other = in_a_vpc("vision", block="10.20.128.0/20", endpoints="existing")
    (problem,) = check_two(tmp_path, in_a_vpc("speech"), other)
    assert problem.what == "10.20.128.0/20 of vision overlaps 10.20.0.0/16 of speech"


def test_an_own_network_does_not_overlap_an_existing_vpc(tmp_path: Path) -> None:
    (problem,) = check_two(tmp_path, in_a_vpc("speech"), environment_text())
    assert problem.path == "network.cidr"


def plan_text(tmp_path: Path, text: str, account: str = ACCOUNT) -> list[str]:
    """Return the plans of an environment's subnets as they are printed."""
    return [str(plan) for plan in plan_folder(write_folder(tmp_path, account, vision=text), ["vision"])]


def test_a_plan_tells_how_many_nodes_a_subnet_still_holds(tmp_path: Path) -> None:
    # A /16 for two zones is cut in four. 5 are AWS's, 10 the endpoints', 1 the head's, 4 the fleet's.
    assert plan_text(tmp_path, environment_text()) == [
        "vision, zone 1: subnet 10.20.0.0/18: 16,384 addresses, 20 needed, "
        "holds 16,364 more nodes of g5.xlarge",
        "vision, zone 2: subnet 10.20.64.0/18: 16,384 addresses, 16 needed, no fleet starts in it",
    ]


def test_a_fleet_counts_in_its_zone_and_a_spread_one_in_every_zone(tmp_path: Path) -> None:
    text = environment_text(cidr='cidr = "10.20.0.0/24"\nzone_names = ["us-east-1a", "us-east-1b"]')
    text += 'zone = "us-east-1b"\n[fleets.wide]\ninstance_type = "g6.xlarge"\nnodes = 0\nmax_nodes = 5\n'
    first, second = plan_addresses(
        load_environment(write_folder(tmp_path, vision=text + 'placement = "spread"\n') / "vision.toml")
    )
    assert (first.needs.get("the fleet gpu"), second.needs["the fleet gpu"]) == (None, 4)
    assert first.needs["the fleet wide"] == second.needs["the fleet wide"] == 3, "five over two zones"
    assert (first.size, first.needed, first.more_nodes) == (64, 19, {"g6.xlarge": 45})
    assert second.more_nodes == {"g5.xlarge": 41, "g6.xlarge": 41}


@pytest.mark.parametrize(("kind", "each"), [("p4d.24xlarge", 4), ("p5.48xlarge", 1), ("g5.48xlarge", 1)])
def test_only_adapters_with_an_address_count(tmp_path: Path, kind: str, each: int) -> None:
    folder = write_folder(tmp_path, vision=environment_text(instance_type=f'instance_type = "{kind}"'))
    first, _ = plan_addresses(load_environment(folder / "vision.toml"))
    assert first.needs["the fleet gpu"] == 4 * each
    assert first.more_nodes == {kind: (16384 - 16 - 4 * each) // each}


def test_file_systems_take_addresses(tmp_path: Path) -> None:
    text = environment_text() + '[efs]\nenabled = true\n[fsx]\nkind = "scratch"\nsize_gib = 4800\n'
    folder = write_folder(tmp_path, vision=text + "run_max_gib = 1200\n")
    first, _ = plan_addresses(load_environment(folder / "vision.toml"))
    # A metadata server and four others of the fleet's, one and one of a run's.
    assert (first.needs["the shared file system"], first.needs["Lustre file systems"]) == (1, 5 + 2)


def test_a_subnet_that_is_too_small_is_told_with_what_needs_its_addresses(tmp_path: Path) -> None:
    account = ACCOUNT.replace("= 4", "= 200")
    fits = environment_text(block="10.20.0.0/23", max_nodes="max_nodes = 112")
    folder = write_folder(tmp_path, account, vision=fits)
    assert check_directory(folder, today=TODAY) == ([], [])
    folder = write_folder(tmp_path, account, vision=fits.replace("= 112", "= 113"))
    (problem,), _ = check_directory(folder, today=TODAY)
    assert problem.what == (
        "a subnet (10.20.0.0/25, zone 1) has 128 addresses where 129 are needed: 5 by AWS itself, 1 by the "
        "head node, 10 by endpoints, 113 by the fleet gpu"
    )


def test_of_a_subnet_that_is_there_already_only_the_need_is_known(tmp_path: Path) -> None:
    first, second = plan_text(tmp_path, in_a_vpc("vision", endpoints="existing"))
    assert first.startswith("vision, zone 1: subnet subnet-0123456789abcdef0: 10 addresses needed")
    assert first.endswith("AWS alone knows how many it has")
    assert "subnet-0123456789abcdef1: 6 addresses needed" in second


def test_a_plan_as_data_has_every_number(tmp_path: Path) -> None:
    (first, _) = plan_folder(write_folder(tmp_path, vision=environment_text()), ["vision"])
    assert first.as_data() == {
        "environment": "vision",
        "zone": "zone 1",
        "subnet": "10.20.0.0/18",
        "addresses": 16384,
        "needed": 20,
        "needs": {"AWS itself": 5, "the head node": 1, "endpoints": 10, "the fleet gpu": 4},
        "more_nodes": {"g5.xlarge": 16364},
    }


def test_what_cannot_be_read_or_cut_has_no_plan(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, vision="name = ", speech=environment_text("speech", block="10.0.0.0/30"))
    assert plan_folder(folder, ["vision", "speech", "nobody"]) == []


def test_check_tells_the_plan_of_every_subnet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = environment_text(lease_ends="lease_ends = 2030-12-31")
    other = text.replace("vision", "speech").replace(".20.", ".30.")
    write_folder(tmp_path, ACCOUNT + LONG_LEASES, vision=text, speech=other)
    monkeypatch.chdir(tmp_path)
    assert cli.main(["check"]) == 0
    told = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in told[:4]] == [
        "speech, zone 1",
        "speech, zone 2",
        "vision, zone 1",
        "vision, zone 2",
    ]
    assert cli.main(["check", "speech", "--json"]) == 0
    plans = json.loads(capsys.readouterr().out)["addresses"]
    assert [(plan["environment"], plan["subnet"]) for plan in plans] == [
        ("speech", "10.30.0.0/18"),
        ("speech", "10.30.64.0/18"),
    ]
