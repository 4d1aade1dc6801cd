"""The round trip through the commands: plan, up, an empty plan, down, a leftover, a receipt.

The environment is built by two `up`s, the first of which finds no capacity for its second node: it says so,
keeps what it got, and the next one goes on from there.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import redirect_stdout, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from fleet.aws import client
from fleet.cloud import Cloud
from fleet.run_store import open_runs
from fleet.session import open_session
from scripts.cli import main
from stacks import naming
from tests.sandbox_helpers import admin
from tests.spec_files import ACCOUNT, LONG_LEASES, environment_text, write_folder

pytestmark = [pytest.mark.sandbox, pytest.mark.terraform]
REGION = "us-east-1"
GROUP = "trip-gpu"
NO_CAPACITY = "We currently do not have sufficient g5.xlarge capacity."


@dataclass(frozen=True)
class Trip:
    """What the commands that built the environment said, and which nodes there were after each."""

    planned: Any
    codes: tuple[int, int]
    """Exit codes of the two `up`s."""
    ups: tuple[Any, Any]
    groups: tuple[tuple[str, set[str]], ...]
    """The ARN of the fleet's group and its instances, after each `up`."""


@pytest.fixture(scope="module")
def project(sandbox: Cloud, sandbox_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Stand in a project that declares the environment `trip` in an organization of its own."""
    folder = tmp_path_factory.mktemp("trip")
    text = environment_text("trip").replace("2026-12-31", "2035-12-31")
    write_folder(
        folder,
        ACCOUNT.replace("acme-ai", "trip-tests") + LONG_LEASES,
        trip=text + '[artifacts]\non_teardown = "delete"\n',
        neighbour=environment_text("neighbour", "10.99.0.0/16").replace("2026-12-31", "2035-12-31"),
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FLEETFORM_HOME", str(sandbox_home))
        patch.delenv("TF_CLI_CONFIG_FILE", raising=False)
        patch.chdir(folder)
        yield folder


@pytest.fixture(scope="module")
def trip(project: Path, sandbox: Cloud) -> Trip:
    """Plan the environment and build it: with no capacity for its second node, and again with some."""
    code, planned = told("plan", "trip", "--detailed-exitcode")
    assert code == 2
    rule = {"service": "ec2", "action": "RunInstances", "resource": GROUP, "skip": 1}
    shortage = {"code": "InsufficientInstanceCapacity", "message": NO_CAPACITY}
    admin(sandbox, "POST", "faults", {**rule, **shortage})
    try:
        first = told("up", "trip", "--yes", "--wait", "8")
    finally:
        admin(sandbox, "DELETE", "faults")
    got = members(sandbox)
    second = told("up", "trip", "--yes", "--wait", "60")
    codes, ups = (first[0], second[0]), (first[1], second[1])
    return Trip(planned, codes, ups, (got, members(sandbox)))


def told(*words: str) -> tuple[int, Any]:
    """Run a command; return its exit code and the JSON that it printed."""
    with redirect_stdout(io.StringIO()) as printed:
        code = main([*words, "--json"])
    return code, json.loads(printed.getvalue())


def members(cloud: Cloud) -> tuple[str, set[str]]:
    """Return the ARN of the fleet's group and its instances."""
    scaling = client(cloud, "autoscaling", REGION)
    (group,) = scaling.describe_auto_scaling_groups(AutoScalingGroupNames=[GROUP])["AutoScalingGroups"]
    return group["AutoScalingGroupARN"], {each["InstanceId"] for each in group["Instances"]}


def answer(capsys: pytest.CaptureFixture[str]) -> Any:
    """Return the JSON that a command printed."""
    return json.loads(capsys.readouterr().out)


def hold_the_nodes_by_a_run(cloud: Cloud) -> None:
    """Let a run that has ended in nothing yet be on every node of the fleet."""
    store = open_runs(open_session("trip"))
    filters = [{"Name": f"tag:{naming.TAG_ENVIRONMENT}", "Values": ["trip"]}]
    found = client(cloud, "ec2", REGION).describe_instances(Filters=filters)["Reservations"]
    run = {"recipe": "digits", "script": "", "fleet": "gpu", "nodes": 1, "procs_per_node": 1}
    store.put("r-1", "run.json", {**run, "actor": "me", "submitted": "2026-01-01T00:00:00+00:00"})
    for instance in (each["InstanceId"] for group in found for each in group["Instances"]):
        body = json.dumps({"run_id": "r-1"}).encode()
        store.s3.put_object(Bucket=store.bucket, Key=f"nodes/{instance}.json", Body=body)


def neighbours_states(cloud: Cloud) -> None:
    """Let the account hold the states of another environment, which say that it stands as `trip` does."""
    s3, session = client(cloud, "s3", REGION), open_session("trip")
    bucket = naming.state_bucket(session.account.organization, session.account.region)
    pairs = zip(naming.environment_stacks("trip"), naming.environment_stacks("neighbour"), strict=True)
    for mine, other in pairs:
        body = s3.get_object(Bucket=bucket, Key=naming.state_key(mine))["Body"].read()
        copied = body.replace(b"trip", b"neighbour")
        s3.put_object(Bucket=bucket, Key=naming.state_key(other), Body=copied)


def mark(cloud: Cloud, name: str) -> None:
    """Leave a call of this name in the embedded cloud's log."""
    with suppress(ClientError):
        client(cloud, "s3", REGION).head_bucket(Bucket=f"mark-{name}")


def calls_since(cloud: Cloud, name: str) -> list[str]:
    """Return what the calls since that mark were about, each after its action."""
    log = [f"{each['action']} {each['about']}" for each in admin(cloud, "GET", "calls")]
    last = max(number for number, about in enumerate(log) if f"mark-{name}" in about)
    return log[last + 1 :]


def test_without_a_terminal_nothing_is_built_or_torn_down_unasked(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for verb in ("up", "down"):
        assert main([verb, "trip"]) == 2
        assert f"say that it may act: `fleetform {verb} ... --yes`" in capsys.readouterr().err


def test_a_second_up_keeps_the_nodes_that_the_first_one_got(trip: Trip) -> None:
    assert trip.codes == (1, 0)
    first, second = (each["readiness"] for each in trip.ups)
    assert (first["wanted"], first["running"]) == (3, 2)
    (shortage,) = first["shortages"]
    assert (shortage["group"], shortage["lacks"]) == (GROUP, 1) and NO_CAPACITY in shortage["why"]
    assert second == {"wanted": 3, "running": 3, "online": 3, "shortages": []}
    (arn, got), (again, both) = trip.groups
    assert len(got) == 1
    assert again == arn and got < both, "the group was not replaced, nor the node that it had"


def test_the_round_trip(
    project: Path, trip: Trip, sandbox: Cloud, capsys: pytest.CaptureFixture[str]
) -> None:
    plan, (up, _) = trip.planned, trip.ups
    plans = {each["stack"]: each for each in plan["stacks"]}
    assert all(each["provisional"] and each["changes"]["add"] for each in plans.values())
    assert not any("terraform_data" in each["address"] for each in plans["trip-fleet"]["resources"])
    words = {each["address"]: each["words"] for each in plans["trip-fleet"]["resources"]}
    assert words["aws_autoscaling_group.gpu"] == "make a fleet `gpu` of 2 to 4 g5.xlarge nodes"
    assert plan["price"]["usd_per_hour_running"] > 1 > plan["price"]["usd_per_hour_idle"] > 0
    assert (plan["price"]["not_priced"], plan["price_now"]["items"], plan["settings"]) == ([], [], [])

    assert [each["stack"] for each in up["stacks"]] == ["account", "trip-base", "trip-fleet"]
    for each in up["stacks"][1:]:
        assert each["changes"]["add"] == each["resources"] == plans[each["stack"]]["changes"]["add"]
    neighbours_states(sandbox)

    mark(sandbox, "plan")
    assert main(["plan", "trip", "--detailed-exitcode", "--json"]) == 0
    calls = calls_since(sandbox, "plan")
    assert any(each.startswith("GetObject") and "trip-base/terraform.tfstate" in each for each in calls)
    assert [each for each in calls if "neighbour" in each] == []
    stacks = open_session("trip").project.work("sandbox", "trip") / "cdktf.out" / "stacks"
    assert {each.name for each in stacks.iterdir()} == {"account", "trip-base", "trip-fleet"}
    assert not [each for each in stacks.glob("*/cdk.tf.json") if "neighbour" in each.read_text()]
    plan = answer(capsys)
    assert plan["empty"] and not any(each["provisional"] for each in plan["stacks"])
    assert plan["price_now"]["usd_per_hour_running"] == plan["price"]["usd_per_hour_running"]

    # The file now asks for no node, while a run is on the two there are.
    file = project / "environments" / "trip.toml"
    before = file.read_text()
    file.write_text(before.replace("nodes = 2", "nodes = 0", 1))
    hold_the_nodes_by_a_run(sandbox)
    assert main(["up", "trip", "--yes"]) == 2
    assert "2 nodes of the 2 of the fleet gpu would be ended" in capsys.readouterr().err
    assert main(["plan", "trip", "--json"]) == 0
    plan = answer(capsys)
    assert [(each["path"], each["old"], each["new"]) for each in plan["settings"]] == [
        ("fleets.gpu.nodes", 2, 0)
    ]
    (effect,) = plan["fleets"]
    assert (effect["ends"], effect["runs"]) == (2, ["r-1"])
    (group,) = (each for each in plan["stacks"][2]["resources"] if each["room"] == "machines")
    assert {"path": "desired_capacity", "old": "2", "new": "0", "replaces": False} in group["attributes"]
    mark(sandbox, "up")
    assert main(["up", "trip", "--yes", "--anyway", "the quota is gone", "--wait", "0"]) == 0
    assert [each for each in calls_since(sandbox, "up") if "neighbour" in each] == []
    capsys.readouterr()
    (*_, begun, _) = open_session("trip").ledger.entries()
    assert (
        begun["details"]["anyway"] == "the quota is gone" and "run r-1" in begun["details"]["overridden"][0]
    )
    file.write_text(before)
    open_runs(open_session("trip")).delete("r-1", "run.json")

    ec2 = client(sandbox, "ec2", REGION)
    named = [{"Name": "group-name", "Values": ["trip-nodes"]}]
    group = ec2.describe_security_groups(Filters=named)["SecurityGroups"][0]["GroupId"]
    ssh = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[ssh])
    assert main(["drift", "trip", "--json"]) == 4
    drift = answer(capsys)
    (opened,) = drift["findings"]
    assert (drift["worst"], opened["address"]) == ("critical", "aws_security_group.nodes")
    assert "tcp 22 with 0.0.0.0/0" in opened["what"] and "by hand" in opened["repair"]
    assert "aws_autoscaling_group.gpu" in {each["address"] for each in drift["pending"]}, (
        "the file again says 2"
    )

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
    assert receipt["stacks"][0]["usd_per_hour"] > 0.09 and receipt["stacks"][0]["hours_lived"] > 0
    assert {each["kind"] for each in receipt["ending"]} == {"KMS key"}

    ec2.delete_volume(VolumeId=stray)
    assert main(["down", "trip", "--base", "--yes", "--json"]) == 0
    assert answer(capsys)["proven"]
    (page,) = (project / "receipts").glob("trip-*/receipt.html")
    assert len(list(page.parent.glob("receipt-*.json"))) == 1, (
        "of one teardown, and what could not prove it beside"
    )

    entries = open_session("trip").ledger.entries()
    events = [(each["event"], each["outcome"]) for each in entries if each["event"] != "teardown.found"]
    assert events == [
        *[("environment.up", "started"), ("environment.up", "succeeded")] * 2,
        ("environment.up", "refused"),
        ("environment.up", "started"),
        ("environment.up", "succeeded"),
        ("environment.drift", "recorded"),
        *[("environment.down", "started"), ("environment.down", "succeeded")] * 2,
    ]
