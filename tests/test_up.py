"""The round trip through the commands: plan, up, an empty plan, down, a leftover, a receipt."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fleet.aws import client
from fleet.cloud import Cloud
from fleet.session import open_session
from scripts.cli import main
from stacks import naming
from tests.spec_files import ACCOUNT, environment_text, write_folder

pytestmark = [pytest.mark.sandbox, pytest.mark.terraform]
REGION = "us-east-1"


@pytest.fixture
def project(sandbox: Cloud, sandbox_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in a project that declares the environment `trip` in an organization of its own."""
    text = environment_text("trip").replace("2026-12-31", "2099-12-31").replace("nodes = 2", "nodes = 1", 1)
    write_folder(
        tmp_path,
        ACCOUNT.replace("acme-ai", "trip-tests"),
        trip=text + '[artifacts]\non_teardown = "delete"\n',
    )
    monkeypatch.setenv("FLEETFORM_HOME", str(sandbox_home))
    monkeypatch.delenv("TF_CLI_CONFIG_FILE", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def answer(capsys: pytest.CaptureFixture[str]) -> Any:
    """Return the JSON that a command printed."""
    return json.loads(capsys.readouterr().out)


def test_without_a_terminal_nothing_is_built_or_torn_down_unasked(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for verb in ("up", "down"):
        assert main([verb, "trip"]) == 2
        assert f"say that it may act: `fleetform {verb} ... --yes`" in capsys.readouterr().err


def test_the_round_trip(project: Path, sandbox: Cloud, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "trip", "--detailed-exitcode", "--json"]) == 2
    plans = {each["stack"]: each for each in answer(capsys)}
    assert all(each["provisional"] and each["changes"]["add"] for each in plans.values())
    assert not any("terraform_data" in each["address"] for each in plans["trip-fleet"]["planned"])

    assert main(["up", "trip", "--yes", "--json"]) == 0
    up = answer(capsys)
    assert [each["stack"] for each in up["stacks"]] == ["account", "trip-base", "trip-fleet"]
    for each in up["stacks"][1:]:
        assert each["changes"]["add"] == each["resources"] == plans[each["stack"]]["changes"]["add"]
    assert up["readiness"] == {"wanted": 2, "running": 2, "online": 2}

    assert main(["plan", "trip", "--detailed-exitcode", "--json"]) == 0
    assert all(each["empty"] and not each["provisional"] for each in answer(capsys))

    ec2 = client(sandbox, "ec2", REGION)
    tags = [{"Key": naming.TAG_ENVIRONMENT, "Value": "trip"}]
    stray = ec2.create_volume(
        Size=10, AvailabilityZone="us-east-1a", TagSpecifications=[{"ResourceType": "volume", "Tags": tags}]
    )["VolumeId"]
    assert main(["down", "trip", "--base", "--yes", "--json"]) == 3
    receipt = answer(capsys)
    assert [each["id"] for each in receipt["left"]] == [stray]
    assert {each["stack"]: each["fate"] for each in receipt["stacks"]} == {
        "trip-fleet": "destroyed",
        "trip-base": "destroyed",
    }
    assert receipt["stacks"][0]["usd_per_hour"] > 1 and receipt["stacks"][0]["hours_lived"] > 0
    assert {each["kind"] for each in receipt["ending"]} == {"KMS key"}

    ec2.delete_volume(VolumeId=stray)
    assert main(["down", "trip", "--base", "--yes", "--json"]) == 0
    assert answer(capsys)["proven"]
    assert len(list((project / "receipts").glob("trip-*/receipt.html"))) == 2

    events = [(each["event"], each["outcome"]) for each in open_session("trip").ledger.entries()]
    assert events == [
        ("environment.up", "started"),
        ("environment.up", "succeeded"),
        *[("environment.down", "started"), ("environment.down", "succeeded")] * 2,
    ]
