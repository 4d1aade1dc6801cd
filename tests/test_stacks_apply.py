"""The three stacks by the real terraform with the real provider: applied, unchanged after that, destroyed.

The account by its owner, the environment by the deployer, whose rights are so shown to be enough.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fleet.aws import client
from fleet.cloud import Cloud
from stacks import naming
from stacks.outputs import EnvironmentOutputs
from tests.iam_helpers import allow, assume, make_role, refusal
from tests.real_stacks import RealStacks, declare
from tests.sandbox_helpers import admin
from tests.two_teams import take_on

pytestmark = [pytest.mark.sandbox, pytest.mark.terraform]
NAME = "applied"
ORGANIZATION = "stacks-apply"
STACKS = ("account", f"{NAME}-base", f"{NAME}-fleet")
DESTROY = ("destroy", "-auto-approve", "-parallelism=30")
BOOT_SECONDS = 60
FLEETS = """
[fleets.cheap]
instance_type = "g5.xlarge"
nodes = 2
max_nodes = 2
purchase = "spot"
on_demand_base = 1
placement = "spread"

[fleets.held]
instance_type = "p4d.24xlarge"
nodes = 1
max_nodes = 1
purchase = "capacity_reservation"
reservation = "{held}"
zone = "us-east-1b"

[fleets.block]
instance_type = "p5.48xlarge"
nodes = 1
max_nodes = 1
purchase = "capacity_block"
reservation = "{block}"
zone = "us-east-1a"
"""


def test_the_stacks_apply_have_an_empty_second_plan_and_go(tmp_path: Path, sandbox: Cloud) -> None:
    console = make_role(sandbox, "stacks-apply-console", allow(["sts:AssumeRole", "sts:SetSourceIdentity"]))
    real = declare(tmp_path, sandbox, name=NAME, organization=ORGANIZATION, trusted=console)
    reservations = reserve(sandbox)
    declare_fleets(real, **reservations)
    synthesized = real.run(sys.executable, "-m", "stacks.app")
    assert synthesized.returncode == 0, synthesized.stderr
    build(real, STACKS[0])
    deployer = replace(real, cloud=take_on(assume(sandbox, console), f"{ORGANIZATION}-fleetform-deployer"))
    try:
        for stack in STACKS[1:]:
            build(deployer, stack)
        for stack in STACKS:
            second = deployer.terraform(stack, "plan", "-detailed-exitcode")
            assert second.returncode == 0, second.stdout + second.stderr
        machines_are_ready(sandbox)
        fleets_are_bought_and_placed_as_declared(sandbox, **reservations)
        outputs_are_published(sandbox)
        operator = naming.environment_role(NAME, naming.ROLE_OPERATOR, "us-east-1")
        the_bill_stops_who_starts_machines(sandbox, take_on(assume(sandbox, console), operator))
    finally:
        destroyed = deployer.terraform(STACKS[2], *DESTROY)
    assert destroyed.returncode == 0, destroyed.stderr
    the_key_outlives_a_destroy_that_fails_on_a_bucket_with_runs_in_it(deployer, sandbox)
    lasting_buckets_refuse_to_go(real)
    assert running(sandbox) == []


def the_bill_stops_who_starts_machines(sandbox: Cloud, operator: Cloud) -> None:
    """Pass the budget: a policy is put on those who start machines, and is still there at the destroy."""
    group = {"AutoScalingGroupName": naming.fleet_group(NAME, "cheap"), "DesiredCapacity": 2}
    client(operator, "autoscaling", "us-east-1").set_desired_capacity(**group)
    passed = {"budget": naming.budget_name(NAME, "us-east-1"), "usd": 9_000_001}
    (action,) = admin(sandbox, "POST", "budget", passed)["actions"]
    assert action["Status"] == "EXECUTION_SUCCESS"
    code, why = refusal(client(operator, "autoscaling", "us-east-1").set_desired_capacity, **group)
    assert (code, "explicit deny" in why) == ("AccessDenied", True)
    head = naming.environment_role(NAME, naming.ROLE_HEAD, "us-east-1")
    held = client(sandbox, "iam", "us-east-1").list_attached_role_policies(RoleName=head)["AttachedPolicies"]
    assert naming.account_name(ORGANIZATION, naming.OVER_BUDGET) in [each["PolicyName"] for each in held]


def build(stacks: RealStacks, stack: str) -> None:
    for arguments in (("init",), ("apply", "-auto-approve", "-parallelism=30")):
        done = stacks.terraform(stack, *arguments)
        assert done.returncode == 0, done.stdout + done.stderr


def the_key_outlives_a_destroy_that_fails_on_a_bucket_with_runs_in_it(
    stacks: RealStacks, sandbox: Cloud
) -> None:
    """Destroy the base, whose bucket is to be retained: what is in it can still be read afterwards."""
    s3, kms = (client(sandbox, service, "us-east-1") for service in ("s3", "kms"))
    bucket = naming.artifact_bucket(ORGANIZATION, NAME, "us-east-1")
    key = json.loads(stacks.terraform(STACKS[1], "output", "-json").stdout)["kms_key_arn"]["value"]
    s3.put_object(Bucket=bucket, Key="runs/one/run.json", Body=b"{}")
    refused = stacks.terraform(STACKS[1], *DESTROY)
    assert refused.returncode == 1 and "BucketNotEmpty" in refused.stderr, refused.stdout + refused.stderr
    assert s3.head_object(Bucket=bucket, Key="runs/one/run.json")["SSEKMSKeyId"] == key
    assert kms.describe_key(KeyId=key)["KeyMetadata"]["KeyState"] == "Enabled"

    held = s3.list_object_versions(Bucket=bucket)
    for each in (*held.get("Versions", ()), *held.get("DeleteMarkers", ())):
        s3.delete_object(Bucket=bucket, Key=each["Key"], VersionId=each["VersionId"])
    done = stacks.terraform(STACKS[1], *DESTROY)
    assert done.returncode == 0, done.stdout + done.stderr
    assert kms.describe_key(KeyId=key)["KeyMetadata"]["KeyState"] == "PendingDeletion"


def declare_fleets(real: RealStacks, **reservations: str) -> None:
    """Add a fleet for each way of buying one to the environment, over two zones by name; keep its runs."""
    file = real.folder / "environments" / f"{NAME}.toml"
    text = file.read_text().replace('on_teardown = "delete"', 'on_teardown = "retain"')
    text = text.replace("[network]\n", '[network]\nzone_names = ["us-east-1a", "us-east-1b"]\n')
    file.write_text(f"{text}{FLEETS.format(**reservations)}\n[budget]\nusd_per_month = 9000000\n")


def reserve(sandbox: Cloud) -> dict[str, str]:
    """Reserve an A100 machine and buy a capacity block of one H100 machine; return the ids by fleet."""
    ec2 = client(sandbox, "ec2", "us-east-1")
    held = ec2.create_capacity_reservation(
        InstanceType="p4d.24xlarge",
        InstancePlatform="Linux/UNIX",
        AvailabilityZone="us-east-1b",
        InstanceCount=1,
        InstanceMatchCriteria="targeted",
    )
    [offer] = ec2.describe_capacity_block_offerings(
        InstanceType="p5.48xlarge", InstanceCount=1, CapacityDurationHours=24
    )["CapacityBlockOfferings"]
    block = ec2.purchase_capacity_block(
        CapacityBlockOfferingId=offer["CapacityBlockOfferingId"], InstancePlatform="Linux/UNIX"
    )
    found = {"held": held, "block": block}
    return {name: each["CapacityReservation"]["CapacityReservationId"] for name, each in found.items()}


def fleets_are_bought_and_placed_as_declared(sandbox: Cloud, held: str, block: str) -> None:
    machines: dict[str, list[dict[str, Any]]] = {}
    for each in running(sandbox):
        tags = {tag["Key"]: tag["Value"] for tag in each["Tags"]}
        machines.setdefault(tags.get(naming.TAG_FLEET, ""), []).append(each)
    cheap = machines["cheap"]
    assert sorted(each.get("InstanceLifecycle", "on demand") for each in cheap) == ["on demand", "spot"]
    assert {each["Placement"]["AvailabilityZone"] for each in cheap} == {"us-east-1a", "us-east-1b"}
    for name, reservation, interfaces in (("held", held, 4), ("block", block, 33)):
        (node,) = machines[name]
        assert node["CapacityReservationId"] == reservation
        assert len(node["NetworkInterfaces"]) == interfaces
        assert not node["Placement"].get("GroupName")
    assert machines["gpu"][0]["Placement"]["GroupName"] == f"{NAME}-gpu"


def machines_are_ready(sandbox: Cloud) -> None:
    ids = {each["InstanceId"] for each in running(sandbox)}
    assert len(ids) == 6, "the head node, and the nodes of every fleet"
    ssm = client(sandbox, "ssm", "us-east-1")
    deadline = time.monotonic() + BOOT_SECONDS
    online: set[str] = set()
    while not ids <= online and time.monotonic() < deadline:
        listed = ssm.describe_instance_information()["InstanceInformationList"]
        online = {each["InstanceId"] for each in listed if each["PingStatus"] == "Online"}
        time.sleep(0.2)
    assert ids <= online, "user data has ended on every machine"
    for instance in running(sandbox):
        tags = {tag["Key"]: tag["Value"] for tag in instance["Tags"]}
        assert tags[naming.TAG_LEASE_ENDS] == "2035-12-31"
        assert tags[naming.TAG_ROLE] in ("head", "node")


def outputs_are_published(sandbox: Cloud) -> None:
    ssm = client(sandbox, "ssm", "us-east-1")
    text = ssm.get_parameter(Name=naming.outputs_parameter(NAME))["Parameter"]["Value"]
    outputs = EnvironmentOutputs.from_json(text)
    assert outputs.vpc_id.startswith("vpc-")
    assert len(outputs.subnet_ids) == 2
    assert outputs.fleets["gpu"].nodes == 1
    document = json.dumps(ssm.get_document(Name=outputs.node_document)["Content"])
    assert "${FLEETFORM_ROOT:-}/opt/fleetform/bin/fleetform-node" in document


def lasting_buckets_refuse_to_go(real: RealStacks) -> None:
    refused = real.terraform("account", "destroy", "-auto-approve")
    assert refused.returncode == 1
    assert "prevent_destroy" in refused.stderr


def running(sandbox: Cloud) -> list[dict[str, Any]]:
    filters = [
        {"Name": f"tag:{naming.TAG_ENVIRONMENT}", "Values": [NAME]},
        {"Name": "instance-state-name", "Values": ["pending", "running"]},
    ]
    answer = client(sandbox, "ec2", "us-east-1").describe_instances(Filters=filters)
    return [each for reservation in answer["Reservations"] for each in reservation["Instances"]]
