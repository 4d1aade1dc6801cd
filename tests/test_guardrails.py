"""The guardrails: each rule finds its mistake in a real folder, and lets a good one pass."""

from __future__ import annotations

import datetime
import tomllib
from pathlib import Path

import pytest

from stacks.guardrails import check_directory, check_new, load_checked, load_declared
from stacks.problems import Problem, UserError
from tests.spec_files import ACCOUNT, environment_text, write_folder

TODAY = datetime.date(2026, 11, 22)
SHIPPED = Path(__file__).parent.parent / "environments"


def check_one(tmp_path: Path, text: str, account: str = ACCOUNT) -> tuple[list[Problem], list[Problem]]:
    """Check a folder with that one environment."""
    return check_directory(write_folder(tmp_path, account=account, vision=text), today=TODAY)


def test_a_good_folder_has_nothing_to_tell(tmp_path: Path) -> None:
    assert check_one(tmp_path, environment_text()) == ([], [])


def test_the_shipped_examples_pass() -> None:
    assert check_directory(SHIPPED, today=TODAY) == ([], [])


ERRORS = [
    ({"name": 'name = "sight"'}, "name", "'sight' stands in a file named vision.toml", "write `vision`"),
    ({"region": 'region = "eu-centrl-1"'}, "region", "no region 'eu-centrl-1'", "`eu-central-1`"),
    ({"region": 'region = "xx-yy-9"'}, "region", "no region 'xx-yy-9'", "take one of"),
    ({"lease_ends": "lease_ends = 2026-11-21"}, "lease_ends", "ended on 2026-11-21", "fleetform down vision"),
    ({"cidr": 'cidr = "11.0.0.0/16"'}, "network.cidr", "11.0.0.0/16 is not private", "192.168.0.0/16"),
    ({"cidr": 'cidr = "172.32.0.0/16"'}, "network.cidr", "172.32.0.0/16 is not private", "172.16.0.0/12"),
    ({"cidr": 'cidr = "10.0.0.0/15"'}, "network.cidr", "/15 is no size", "/16 to /24"),
    ({"cidr": 'cidr = "10.0.0.0/32"'}, "network.cidr", "/32 is no size", "/16 to /24"),
    ({"instance_type": 'instance_type = "g5.xlrge"'}, "fleets.gpu.instance_type", "g5.xlrge", "`g5.xlarge`"),
    (
        {"instance_type": 'instance_type = "z9.huge"'},
        "fleets.gpu.instance_type",
        "z9.huge",
        "known: t3.medium",
    ),
    ({"nodes": "nodes = 5"}, "fleets.gpu.nodes", "5 nodes where max_nodes is 4", "lower it to 4"),
    ({"max_nodes": "max_nodes = 60"}, "fleets.gpu.max_nodes", "60 nodes where 4 are allowed", "account.toml"),
]


@pytest.mark.parametrize(("edits", "path", "what", "do"), ERRORS)
def test_a_rule_finds_its_mistake_and_no_other(
    tmp_path: Path, edits: dict[str, str], path: str, what: str, do: str
) -> None:
    (problem,), warnings = check_one(tmp_path, environment_text(**edits))
    assert problem.path == path and what in problem.what and do in problem.do
    assert problem.file.endswith("environments/vision.toml")
    assert not warnings


def test_a_lease_may_be_used_up_to_its_last_day(tmp_path: Path) -> None:
    errors, (warning,) = check_one(tmp_path, environment_text(lease_ends="lease_ends = 2026-11-22"))
    assert not errors and warning.what == "the lease ends today"


@pytest.mark.parametrize(("day", "told"), [("29", ["the lease ends in 7 days"]), ("30", [])])
def test_a_lease_that_ends_within_a_week_is_a_warning(tmp_path: Path, day: str, told: list[str]) -> None:
    errors, warnings = check_one(tmp_path, environment_text(lease_ends=f"lease_ends = 2026-11-{day}"))
    assert not errors and [warning.what for warning in warnings] == told


def test_the_week_is_as_long_as_the_account_warns_before_an_end(tmp_path: Path) -> None:
    account = ACCOUNT + "[lease]\nwarn_days = [1, 14]\n"
    text = environment_text(lease_ends="lease_ends = 2026-12-06")
    _, (warning,) = check_directory(write_folder(tmp_path, account, vision=text), today=TODAY)
    assert warning.what == "the lease ends in 14 days"


@pytest.mark.parametrize(
    ("days", "what"),
    [("[7, 1, 7]", "a number stands twice in [7, 1, 7]"), ("[-1]", "-1 is too small")],
)
def test_the_days_of_warnings_are_days_before_the_end_each_once(tmp_path: Path, days: str, what: str) -> None:
    folder = write_folder(tmp_path, ACCOUNT + f"[lease]\nwarn_days = {days}\n", vision=environment_text())
    errors, _ = check_directory(folder, today=TODAY)
    assert errors[0].what == what


def test_a_lease_goes_ninety_days_where_the_account_says_nothing_else(tmp_path: Path) -> None:
    told = [
        check_one(tmp_path, environment_text(lease_ends=f"lease_ends = 2027-02-{day}"))[0] for day in (20, 21)
    ]
    assert [len(errors) for errors in told] == [0, 1]


def test_fleets_within_the_limit_one_by_one_are_refused_when_together_they_are_over_it(
    tmp_path: Path,
) -> None:
    second = '[fleets.big]\ninstance_type = "g5.12xlarge"\nnodes = 0\nmax_nodes = 1\n'
    (problem,), _ = check_one(tmp_path, environment_text() + second)
    assert (problem.path, problem.what) == ("fleets", "5 nodes together where 4 are allowed")


def test_a_bucket_name_longer_than_s3_allows_is_refused(tmp_path: Path) -> None:
    name = "vision-research-long"
    text = environment_text(name, region='region = "ap-southeast-1"')
    account = ACCOUNT.replace("acme-ai", "acme-ai-research-lab")
    folder = write_folder(tmp_path, account=account, **{name: text})
    (problem,), _ = check_directory(folder, today=TODAY)
    # 20 + 1 + 20 + len("-artifacts-") 11 + 14
    assert problem.path == "name" and "66 characters where S3 allows 63" in problem.what
    assert problem.do == "shorten the name by 3"


def test_a_fleet_named_as_the_head_node_is_refused(tmp_path: Path) -> None:
    text = environment_text().replace("[fleets.gpu]", "[fleets.head]")
    (problem,), warnings = check_one(tmp_path, text)
    assert problem.path == "fleets.head" and not warnings
    assert problem.what == "the fleet's group would be named vision-head, as the head node's is"
    assert "another name" in problem.do


RESERVED = [
    ("sg", "a security group would be named sg-nodes", "begins with sg-"),
    ("sg-vision", "a security group would be named sg-vision-nodes", "begins with sg-"),
    ("aws-vision", "a document would be named aws-vision-run-job", "begins with aws"),
    ("awsome", "a document would be named awsome-run-job", "begins with aws"),
    ("amazon", "a document would be named amazon-run-job", "begins with amazon"),
    ("amzn2", "a document would be named amzn2-run-job", "begins with amzn"),
]


@pytest.mark.parametrize(("name", "what", "why"), RESERVED)
def test_a_name_that_aws_keeps_for_itself_is_refused(tmp_path: Path, name: str, what: str, why: str) -> None:
    folder = write_folder(tmp_path, **{name: environment_text(name)})
    (problem,), _ = check_directory(folder, today=TODAY)
    assert (problem.path, problem.do) == ("name", "take another name")
    assert what in problem.what and why in problem.what


@pytest.mark.parametrize("name", ["sgd", "sge-lab", "raws", "am", "amaze"])
def test_a_name_that_only_resembles_a_reserved_one_passes(tmp_path: Path, name: str) -> None:
    folder = write_folder(tmp_path, **{name: environment_text(name)})
    assert check_directory(folder, today=TODAY) == ([], [])


@pytest.mark.parametrize("burstable", ["t3.medium", "t3.large", "t3a.large", "t4g.medium", "t2.micro"])
def test_a_fleet_of_a_burstable_type_is_refused(tmp_path: Path, burstable: str) -> None:
    text = environment_text(instance_type=f'instance_type = "{burstable}"')
    errors, _ = check_one(tmp_path, text)
    told = [problem for problem in errors if "placement group" in problem.what]
    assert [problem.path for problem in told] == ["fleets.gpu.instance_type"]
    assert told[0].what.startswith(f"{burstable} is burstable") and "g5.xlarge" in told[0].do


def test_a_burstable_type_may_be_the_head_node(tmp_path: Path) -> None:
    text = environment_text(max_nodes='max_nodes = 4\n[head]\ninstance_type = "t3.medium"')
    assert check_one(tmp_path, text) == ([], [])


@pytest.mark.parametrize(
    ("region", "do"), [("us-esat-1", "did you mean `us-east-1`?"), ("xx-yy-9", "take one of af-south-1")]
)
def test_an_account_in_a_region_that_aws_does_not_have_is_refused(
    tmp_path: Path, region: str, do: str
) -> None:
    account = ACCOUNT.replace("us-east-1", region)
    (problem,), _ = check_one(tmp_path, environment_text(), account)
    assert problem.file.endswith("environments/account.toml")
    assert (problem.path, problem.what) == ("region", f"AWS has no region {region!r}")
    assert problem.do.startswith(do)


def test_a_new_environment_in_an_account_of_a_wrong_region_is_refused(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, ACCOUNT.replace("us-east-1", "us-esat-1"))
    (problem,) = check_new(folder, "vision", tomllib.loads(environment_text()), today=TODAY)
    assert problem.file.endswith("account.toml") and problem.path == "region"


def test_a_wrong_region_of_an_environment_and_its_new_account_is_told_once(tmp_path: Path) -> None:
    folder = write_folder(tmp_path)
    (folder / "account.toml").unlink()
    wrong = environment_text(region='region = "us-esat-1"')
    account = {"organization": "acme-ai", "region": "us-esat-1"}
    (problem,) = check_new(folder, "vision", tomllib.loads(wrong), account, TODAY)
    assert problem.path == "region" and problem.file.endswith("vision.toml")


@pytest.mark.parametrize(
    ("edits", "path", "what"),
    [
        ({"max_nodes": 'max_nodes = 4\n[head]\ninstance_type = "g5.xlarge"'}, "head.instance_type", "1 GPU"),
        ({"instance_type": 'instance_type = "m6i.large"'}, "fleets.gpu.instance_type", "no GPU"),
    ],
)
def test_what_wastes_money_is_a_warning(tmp_path: Path, edits: dict[str, str], path: str, what: str) -> None:
    errors, (warning,) = check_one(tmp_path, environment_text(**edits))
    assert not errors and warning.path == path and what in warning.what


def test_an_environment_without_a_fleet_is_a_warning(tmp_path: Path) -> None:
    text = environment_text().partition("[fleets.gpu]")[0] + "[fleets]\n"
    errors, (warning,) = check_one(tmp_path, text)
    assert not errors and warning.path == "fleets"


def test_networks_that_overlap_are_told_with_both_names(tmp_path: Path) -> None:
    folder = write_folder(
        tmp_path, vision=environment_text(), speech=environment_text("speech", block="10.20.128.0/20")
    )
    (problem,), _ = check_directory(folder, today=TODAY)
    assert problem.what == "10.20.0.0/16 of vision overlaps 10.20.128.0/20 of speech"
    assert problem.file.endswith("vision.toml") and "speech.toml" in problem.do


@pytest.mark.parametrize("asked", ["vision", "speech"])
def test_an_overlap_is_told_of_the_environment_that_was_asked_about(tmp_path: Path, asked: str) -> None:
    folder = write_folder(tmp_path, vision=environment_text(), speech=environment_text("speech"))
    (problem,), _ = check_directory(folder, [asked], TODAY)
    assert problem.file.endswith(f"{asked}.toml")


def test_mistakes_of_every_file_and_between_files_are_told_at_once(tmp_path: Path) -> None:
    folder = write_folder(
        tmp_path,
        account=ACCOUNT + 'colour = "red"\n',
        broken="name = ",
        speech=environment_text("speech", team="team = 1"),
        sound=environment_text("sound", region='region = "us-east-9"'),
        vision=environment_text(nodes="nodes = 9"),
    )
    errors, _ = check_directory(folder, today=TODAY)
    told = [(Path(problem.file).name, problem.path) for problem in errors]
    assert told == [
        ("account.toml", "limits.colour"),
        ("broken.toml", "end of document"),
        ("sound.toml", "region"),
        ("speech.toml", "team"),
        ("vision.toml", "fleets.gpu.nodes"),
        ("vision.toml", "network.cidr"),
    ]


def test_another_teams_broken_file_stops_nobody_else_and_is_told(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, vision=environment_text(), speech="name = ")
    errors, (warning,) = check_directory(folder, ["vision"], TODAY)
    assert not errors
    assert warning.file.endswith("speech.toml") and "network was not compared" in warning.what
    assert load_checked(folder, "vision", TODAY)[1].name == "vision"


def test_an_unknown_name_is_told_with_the_nearest_one(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, vision=environment_text())
    with pytest.raises(UserError, match=r"no environment 'vison'.*\n.*did you mean `vision`"):
        load_checked(folder, "vison", TODAY)


def test_the_accounts_file_is_no_environment(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, vision=environment_text())
    with pytest.raises(UserError, match="no environment 'account'"):
        load_declared(folder, "account")


def test_a_missing_account_is_told(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, vision=environment_text())
    (folder / "account.toml").unlink()
    (problem,), _ = check_directory(folder, today=TODAY)
    assert problem.file.endswith("account.toml") and "no such file" in problem.what


def test_load_checked_raises_all_that_concerns_the_environment(tmp_path: Path) -> None:
    folder = write_folder(
        tmp_path,
        vision=environment_text(nodes="nodes = 9", region='region = "us-east-9"'),
        speech=environment_text("speech", block="10.9.0.0/16", nodes="nodes = 9"),
    )
    with pytest.raises(UserError) as caught:
        load_checked(folder, "vision", TODAY)
    assert [problem.path for problem in caught.value.problems] == ["region", "fleets.gpu.nodes"]


def test_an_environment_whose_lease_is_over_is_not_built_but_can_still_be_torn_down(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, vision=environment_text(lease_ends="lease_ends = 2020-01-01"))
    with pytest.raises(UserError, match="the lease ended on 2020-01-01"):
        load_checked(folder, "vision", TODAY)
    account, spec = load_declared(folder, "vision")
    assert (account.organization, spec.name) == ("acme-ai", "vision")
