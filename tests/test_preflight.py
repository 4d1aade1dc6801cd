"""The live guardrails together: every finding at once, with the verb, and before anything is built."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from fleet.cloud import Cloud
from fleet.preflight import LIVE_ERRORS, LIVE_WARNINGS, check, require_preflight
from fleet.project import Project
from fleet.session import Session
from fleet.terraform_events import ProgressEvent
from stacks.problems import UserError
from tests.live_cases import live_case, set_quota
from tests.sandbox_helpers import admin
from tests.spec_files import environment_text, write_folder
from tests.test_cli import fleetform

pytestmark = pytest.mark.sandbox


@pytest.fixture
def faults(sandbox: Cloud) -> Iterator[Cloud]:
    yield sandbox
    admin(sandbox, "DELETE", "faults")


def folder(root: Path, **edits: str) -> Path:
    """Write a project with the environment `vision`."""
    write_folder(root, vision=environment_text(**edits))
    return root


def run(home: Path, root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the verb with the sandbox as its cloud."""
    return fleetform(*words, cwd=root, FLEETFORM_HOME=str(home), FLEETFORM_CLOUD="sandbox")


def test_an_environment_that_fits_has_no_finding(sandbox: Cloud) -> None:
    findings = check(live_case(sandbox, "us-east-1"))
    assert (findings.errors, findings.warnings) == ((), ())


def test_ten_mistakes_are_ten_errors_in_one_answer(sandbox: Cloud) -> None:
    region = "ap-south-1"
    set_quota(sandbox, region, "L-417A185B", 0)
    set_quota(sandbox, region, "L-1216C47A", 0)
    case = live_case(
        sandbox,
        region,
        network={
            "cidr": "10.70.0.0/16",
            "vpc_id": "vpc-0123456789abcdef0",
            "subnet_ids": ["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"],
            "zone_names": ["ap-south-1a", "ap-south-1y"],
        },
        head={"image": "ami-0123456789abcdef0"},
        fleet={"instance_type": "p6-b300.48xlarge", "image": "ssm:/aws/service/deeplearning/gone/ami-id"},
        reserved={
            "instance_type": "p5.48xlarge",
            "purchase": "capacity_reservation",
            "reservation": "cr-0123456789abcdef0",
            "root_volume_gib": 8,
        },
    )
    whats = sorted(problem.what for problem in check(case).errors)
    assert len(whats) == len(set(whats)) >= 10, whats
    for part in (
        "the quota of on-demand P instances has 0 of 0 vCPUs left",
        "the quota of on-demand Standard",
        "has no zone ap-south-1y",
        "does not offer p6-b300.48xlarge",
        "there is no capacity reservation cr-0123456789abcdef0",
        "there is no VPC vpc-0123456789abcdef0",
        "there is no subnet subnet-0123456789abcdef0",
        "there is no subnet subnet-0123456789abcdef1",
        "there is no image ami-0123456789abcdef0",
        "there is no parameter /aws/service/deeplearning/gone/ami-id",
        "8 GiB where the image",
    ):
        assert any(part in what for what in whats), part


def test_every_rule_says_in_one_line_what_it_asks() -> None:
    for rule in (*LIVE_ERRORS, *LIVE_WARNINGS):
        assert rule.__doc__ and rule.__doc__.splitlines()[0].endswith("."), rule


def test_a_refused_question_is_told_once_and_the_others_are_asked_all_the_same(faults: Cloud) -> None:
    refusal = {"service": "ec2", "action": "DescribeInstanceTypeOfferings", "code": "UnauthorizedOperation"}
    admin(faults, "POST", "faults", refusal)
    set_quota(faults, "ap-southeast-2", "L-DB2E81BA", 0)
    findings = check(live_case(faults, "ap-southeast-2"))
    assert len(findings.errors) == 1 and "quota" in findings.errors[0].what
    [warning] = findings.warnings
    assert warning.what.startswith("the types that zones offer could not be asked (")
    assert warning.do.startswith("allow ec2:DescribeInstanceTypeOfferings to whoever builds")


def test_warnings_are_told_and_errors_stop_what_builds(sandbox: Cloud, tmp_path: Path) -> None:
    region, told = "ca-central-1", list[ProgressEvent]()
    set_quota(sandbox, region, "L-DB2E81BA", 8)
    case = live_case(sandbox, region, fleet={"nodes": 2, "max_nodes": 4})
    session = Session(Project(tmp_path, tmp_path), sandbox, case.account, case.spec)
    require_preflight(session, told.append)
    [event] = told
    assert event.kind == "warning" and "at max_nodes 16 are needed" in event.text
    set_quota(sandbox, region, "L-DB2E81BA", 4)
    with pytest.raises(UserError, match="has 4 of 4 vCPUs left, and the nodes need 8"):
        require_preflight(session, told.append)


def test_a_file_with_mistakes_of_its_own_can_be_held_against_the_cloud(sandbox: Cloud) -> None:
    network = {"cidr": "10.20.0.0/31", "zones": 6, "subnet_ids": ["subnet-0123456789abcdef0"]}
    check(live_case(sandbox, "us-west-1", network=network, fleet={"zone": "us-east-1b", "nodes": 9}))


def test_the_verb_asks_the_cloud_only_when_it_is_told_to(
    sandbox: Cloud, sandbox_home: Path, tmp_path: Path
) -> None:
    root = folder(tmp_path, region='region = "us-west-1"')
    assert run(sandbox_home, root, "check").returncode == 0
    result = run(sandbox_home, root, "check", "--live", "vision")
    assert result.returncode == 2
    assert "us-west-1 does not offer g5.xlarge" in result.stderr
    data = json.loads(run(sandbox_home, root, "check", "--live", "--json").stdout)
    assert [each["path"] for each in data["errors"]] == ["fleets.gpu.instance_type"]


def test_mistakes_in_the_file_and_in_the_cloud_are_told_together(
    sandbox: Cloud, sandbox_home: Path, tmp_path: Path
) -> None:
    root = folder(tmp_path, region='region = "us-west-1"', nodes="nodes = 9")
    result = run(sandbox_home, root, "check", "--live")
    assert "9 nodes where max_nodes is 4" in result.stderr
    assert "us-west-1 does not offer g5.xlarge" in result.stderr


@pytest.mark.parametrize("words", [("plan", "vision"), ("up", "vision", "--yes")])
def test_nothing_is_planned_or_built_that_the_cloud_has_no_room_for(
    sandbox: Cloud, sandbox_home: Path, tmp_path: Path, words: tuple[str, ...]
) -> None:
    root = folder(tmp_path, region='region = "us-west-1"')
    result = run(sandbox_home, root, *words)
    assert (result.returncode, "us-west-1 does not offer g5.xlarge" in result.stderr) == (2, True), (
        result.stderr
    )
