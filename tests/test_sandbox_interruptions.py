"""Spot instances that the embedded cloud takes back: the notice in their metadata, and their end."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from fleet.cloud import Cloud
from sandbox import daemon
from scripts import cli
from tests.sandbox_helpers import IMAGE, api, run_script, wait_for

pytestmark = pytest.mark.sandbox
ASK = """\
base="$AWS_EC2_METADATA_SERVICE_ENDPOINT/latest"
ttl="X-aws-ec2-metadata-token-ttl-seconds: 60"
token=$(curl -s -X PUT -H "$ttl" "$base/api/token")
curl -s -o /dev/null -w '%{http_code} ' "$base/meta-data/spot/instance-action"
curl -s -w ' %{http_code}' -H "X-aws-ec2-metadata-token: $token" "$base/meta-data/spot/instance-action"
"""


def start(cloud: Cloud, **market: object) -> str:
    answer = api(cloud, "ec2").run_instances(
        ImageId=IMAGE, MinCount=1, MaxCount=1, InstanceType="g5.xlarge", **market
    )
    return str(answer["Instances"][0]["InstanceId"])


def state(cloud: Cloud, instance_id: str) -> str:
    found = api(cloud, "ec2").describe_instances(InstanceIds=[instance_id])
    return str(found["Reservations"][0]["Instances"][0]["State"]["Name"])


def test_a_spot_instance_gets_its_notice_and_then_its_end(sandbox: Cloud, sandbox_home: Path) -> None:
    spot = start(sandbox, InstanceMarketOptions={"MarketType": "spot"})
    before = run_script(sandbox, spot, ASK)["StandardOutputContent"]
    assert before.split()[0] == "401" and before.endswith(" 404"), before
    ends = daemon.interrupt(sandbox_home, spot, 3)
    told = run_script(sandbox, spot, ASK)["StandardOutputContent"]
    assert told.endswith(" 200")
    action = json.loads(told.partition(" ")[2].removesuffix(" 200"))
    assert action == {"action": "terminate", "time": ends}
    left = datetime.fromisoformat(ends) - datetime.now(UTC)
    assert left.total_seconds() <= 3
    wait_for(lambda: state(sandbox, spot) == "terminated", 20)


def test_the_verb_says_when_the_machine_ends_and_why_it_cannot(
    sandbox: Cloud, sandbox_home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FLEETFORM_HOME", str(sandbox_home))
    spot = start(sandbox, InstanceMarketOptions={"MarketType": "spot"})
    assert cli.main(["sandbox", "interrupt", spot, "--after", "3600"]) == 0
    assert capsys.readouterr().out.startswith(f"{spot} has its notice and ends at 20")
    assert cli.main(["sandbox", "interrupt", spot]) == 1
    assert f"{spot} has had its notice already" in capsys.readouterr().err
    api(sandbox, "ec2").terminate_instances(InstanceIds=[spot])


def test_what_cannot_be_taken_back_is_named(sandbox: Cloud, sandbox_home: Path) -> None:
    mine = start(sandbox)
    with pytest.raises(daemon.SandboxError, match=f"^{mine} is no spot instance"):
        daemon.interrupt(sandbox_home, mine, 120)
    with pytest.raises(daemon.SandboxError, match=r"^there is no instance i-00000000000000000"):
        daemon.interrupt(sandbox_home, "i-00000000000000000", 120)
    assert state(sandbox, mine) == "running"
