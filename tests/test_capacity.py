"""A zone without capacity: `up` says so, keeps what it got, and the next one goes on from there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fleet.aws import client
from fleet.cloud import Cloud
from scripts.cli import main
from tests.sandbox_helpers import admin
from tests.spec_files import ACCOUNT, LONG_LEASES, environment_text, write_folder

pytestmark = [pytest.mark.sandbox, pytest.mark.terraform]
REGION = "us-east-1"
GROUP = "short-gpu"


@pytest.fixture
def project(sandbox: Cloud, sandbox_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in a project that declares the environment `short`, whose second node finds no capacity."""
    text = environment_text("short", "10.77.0.0/16").replace("2026-12-31", "2035-12-31")
    write_folder(
        tmp_path,
        ACCOUNT.replace("acme-ai", "short-tests") + LONG_LEASES,
        short=text + '[artifacts]\non_teardown = "delete"\n',
    )
    monkeypatch.setenv("FLEETFORM_HOME", str(sandbox_home))
    monkeypatch.delenv("TF_CLI_CONFIG_FILE", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def members(cloud: Cloud) -> tuple[str, set[str]]:
    """Return the ARN of the fleet's group and its instances."""
    scaling = client(cloud, "autoscaling", REGION)
    (group,) = scaling.describe_auto_scaling_groups(AutoScalingGroupNames=[GROUP])["AutoScalingGroups"]
    return group["AutoScalingGroupARN"], {each["InstanceId"] for each in group["Instances"]}


def up(capsys: pytest.CaptureFixture[str], wait: str) -> tuple[int, Any]:
    """Return the exit code of `up`, and the readiness that it printed."""
    code = main(["up", "short", "--yes", "--wait", wait, "--json"])
    return code, json.loads(capsys.readouterr().out)["readiness"]


def test_a_second_up_keeps_the_nodes_that_the_first_one_got(
    project: Path, sandbox: Cloud, capsys: pytest.CaptureFixture[str]
) -> None:
    rule = {"service": "ec2", "action": "RunInstances", "resource": GROUP, "skip": 1}
    why = "We currently do not have sufficient g5.xlarge capacity."
    admin(sandbox, "POST", "faults", {**rule, "code": "InsufficientInstanceCapacity", "message": why})
    try:
        code, readiness = up(capsys, "8")
    finally:
        admin(sandbox, "DELETE", "faults")
    assert (code, readiness["wanted"], readiness["running"]) == (1, 3, 2)
    (shortage,) = readiness["shortages"]
    assert (shortage["group"], shortage["lacks"]) == (GROUP, 1) and why in shortage["why"]

    arn, first = members(sandbox)
    assert len(first) == 1
    code, readiness = up(capsys, "60")
    assert (code, readiness) == (0, {"wanted": 3, "running": 3, "online": 3, "shortages": []})
    again, both = members(sandbox)
    assert again == arn and first < both, "the group was not replaced, nor the node that it had"
    assert main(["down", "short", "--base", "--yes"]) == 0
