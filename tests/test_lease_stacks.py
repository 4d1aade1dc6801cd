"""What the stacks give a lease: the reaper's rights and no more, its callers, the environment's schedule."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from sandbox.iam.evaluation import Access, Policies, decide
from sandbox.iam.policy import Policy, parse_policy
from sandbox.iam.principals import Principal
from stacks import naming
from stacks.app import read_declarations, synthesize
from tests.golden_synth import BUNDLE, stack_json
from tests.iam_helpers import trusts
from tests.spec_files import ACCOUNT, environment_text, write_folder

OWNER = "123456789012"
TAGGED = {f"aws:resourcetag/{naming.TAG_ENVIRONMENT}": ["vision"]}
INSTANCE = f"arn:aws:ec2:us-east-1:{OWNER}:instance/i-1"
GROUP = f"arn:aws:autoscaling:us-east-1:{OWNER}:autoScalingGroup:uuid:autoScalingGroupName/vision-gpu"
LEDGER = "arn:aws:s3:::golden-org-fleetform-ledger-eu-central-1"
REAPER = f"arn:aws:lambda:eu-central-1:{OWNER}:function:golden-org-fleetform-reaper"
SCHEDULE = f"arn:aws:scheduler:eu-central-1:{OWNER}:schedule/fleetform-lease-vision-us-east-1"


def resources(out: Path, stack: str) -> dict[str, Any]:
    found: dict[str, Any] = stack_json(out, stack)["resource"]
    return found


def resolved(text: str) -> str:
    """Return a document with what Terraform alone knows put in its place."""
    known = {
        "data.aws_caller_identity.current.account_id": OWNER,
        "data.aws_partition.current.partition": "aws",
        "aws_lambda_function.reaper.arn": REAPER,
    }
    return re.sub(r"\$\{([^}]+)\}", lambda found: known.get(found.group(1), found.group(1)), text)


def role_policy(out: Path, stack: str, name: str) -> Policy:
    return parse_policy(resolved(resources(out, stack)["aws_iam_role_policy"][name]["policy"]), name)


def may(policy: Policy, action: str, resource: str, **context: list[str]) -> bool:
    role = Principal(arn=f"arn:aws:sts::{OWNER}:assumed-role/r/s", account=OWNER)
    access = Access(principal=role, action=action, resource=resource, context=context)
    return decide(access, Policies(identity=(policy,))).allowed


@pytest.mark.parametrize(
    ("action", "resource"),
    [
        ("ec2:TerminateInstances", INSTANCE),
        ("autoscaling:UpdateAutoScalingGroup", GROUP),
        ("autoscaling:SuspendProcesses", GROUP),
        ("autoscaling:SetInstanceProtection", GROUP),
    ],
)
def test_the_reaper_ends_what_has_an_environments_tag_and_nothing_else(
    golden_out: Path, action: str, resource: str
) -> None:
    policy = role_policy(golden_out, "account", "reaper")
    assert may(policy, action, resource, **TAGGED)
    assert not may(policy, action, resource)
    assert not may(policy, action, resource, **{"aws:resourcetag/name": ["vision"]})


@pytest.mark.parametrize(
    ("action", "resource", "allowed"),
    [
        ("s3:PutObject", f"{LEDGER}/ledger/000000000001.json", True),
        ("s3:PutObject", f"{LEDGER}/trail/log", False),
        ("s3:DeleteObject", f"{LEDGER}/ledger/000000000001.json", False),
        ("s3:GetObject", "arn:aws:s3:::golden-org-vision-artifacts-us-east-1/runs/r/model", False),
        ("scheduler:GetSchedule", f"{SCHEDULE}/fleetform-lease-vision-us-east-1", True),
        ("scheduler:DeleteSchedule", f"{SCHEDULE}/fleetform-lease-vision-us-east-1", False),
        ("autoscaling:DeleteAutoScalingGroup", GROUP, False),
        ("ec2:DeleteVolume", f"arn:aws:ec2:us-east-1:{OWNER}:volume/vol-1", False),
        ("fsx:DeleteFileSystem", f"arn:aws:fsx:us-east-1:{OWNER}:file-system/fs-1", False),
        ("sns:Publish", f"arn:aws:sns:eu-central-1:{OWNER}:fleetform-lease-vision-us-east-1", True),
        ("sns:Publish", f"arn:aws:sns:eu-central-1:{OWNER}:somebody-elses", False),
        ("ec2:RunInstances", INSTANCE, False),
    ],
)
def test_the_reaper_touches_no_data_and_starts_nothing(
    golden_out: Path, action: str, resource: str, allowed: bool
) -> None:
    assert may(role_policy(golden_out, "account", "reaper"), action, resource, **TAGGED) is allowed


@pytest.mark.parametrize(("stack", "role"), [("account", "reaper_schedules"), ("vision-base", "lease")])
def test_a_schedules_role_may_call_the_reaper_and_nothing_else(
    golden_out: Path, stack: str, role: str
) -> None:
    policy = role_policy(golden_out, stack, role)
    assert may(policy, "lambda:InvokeFunction", REAPER)
    assert not may(policy, "lambda:InvokeFunction", REAPER.replace("reaper", "other"))
    assert not may(policy, "lambda:UpdateFunctionCode", REAPER)
    assert not may(policy, "ec2:TerminateInstances", INSTANCE, **TAGGED)


def test_a_schedules_role_is_for_the_scheduler_and_its_own_group_alone(golden_out: Path) -> None:
    role = resources(golden_out, "vision-base")["aws_iam_role"]["lease"]
    trust = parse_policy(resolved(role["assume_role_policy"]), "trust")
    own = f"arn:aws:scheduler:eu-central-1:{OWNER}:schedule-group/fleetform-lease-vision-us-east-1"
    assert trusts(trust, "scheduler.amazonaws.com", arn=own)
    assert not trusts(trust, "scheduler.amazonaws.com", arn=own.replace("vision", "speech"))
    assert not trusts(trust, "lambda.amazonaws.com", arn=own)


def test_the_schedule_calls_the_reaper_when_the_last_day_is_over(golden_out: Path) -> None:
    made = resources(golden_out, "vision-base")
    schedule = made["aws_scheduler_schedule"]["lease"]
    assert schedule["schedule_expression"] == "at(2036-01-01T00:00:00)"
    assert resolved(schedule["target"]["arn"]) == REAPER
    about = json.loads(schedule["target"]["input"])
    assert (about["act"], about["environment"], about["region"]) == ("end", "vision", "us-east-1")
    assert about["warn_days"] == [1, 7]
    assert resources(golden_out, "account")["aws_lambda_function"]["reaper"]["function_name"] in REAPER


def test_all_of_a_lease_is_in_the_accounts_region(golden_out: Path) -> None:
    made = resources(golden_out, "vision-base")
    for kind in ("aws_scheduler_schedule", "aws_scheduler_schedule_group", "aws_sns_topic"):
        assert made[kind]["lease"]["provider"] == "aws.in_eu_central_1"


def test_no_environment_has_a_part_of_the_reaper(golden_out: Path) -> None:
    for stack in naming.environment_stacks("vision"):
        text = json.dumps(resources(golden_out, stack))
        assert "aws_lambda_function" not in text
        assert "reaper.arn" not in text


def test_every_address_is_subscribed_and_no_other(tmp_path: Path) -> None:
    mails = '\n[alerts]\nemails = ["a@example.com", "b@example.com"]\n'
    folder = write_folder(tmp_path, ACCOUNT, vision=environment_text() + mails)
    account, specs = read_declarations(folder, ["vision"], unchecked=True)
    synthesize(account, specs, BUNDLE, tmp_path / "out")
    made = resources(tmp_path / "out", "vision-base")["aws_sns_topic_subscription"]
    assert [each["endpoint"] for each in made.values()] == ["a@example.com", "b@example.com"]
    assert {each["protocol"] for each in made.values()} == {"email"}
