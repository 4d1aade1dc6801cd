"""Names at their longest: all that the stacks name is within what AWS takes, and so are the outputs."""

from __future__ import annotations

import datetime
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from stacks import naming
from stacks.account import AccountSpec
from stacks.app import synthesize
from stacks.environment import EnvironmentSpec
from stacks.fleet_rules import PARAMETER_MAX, published_characters
from stacks.spec_file import build_spec
from tests.golden_synth import BUNDLE

ENVIRONMENT, FLEET, REGION = "e" * 20, "f" * 20, "ap-southeast-3"
ORGANIZATION = "o" * 17
"""The longest with which the artifact bucket's name is within S3's limit; beyond, a rule refuses it."""
LIMITS = {
    "aws_autoscaling_group": 255,
    "aws_budgets_budget": 100,
    "aws_cloudwatch_log_group": 512,
    "aws_cloudwatch_metric_alarm": 255,
    "aws_iam_instance_profile": 128,
    "aws_iam_policy": 128,
    "aws_iam_role": 64,
    "aws_kms_alias": 256,
    "aws_lambda_function": 64,
    "aws_launch_template": 128,
    "aws_placement_group": 255,
    "aws_s3_bucket": 63,
    "aws_scheduler_schedule": 64,
    "aws_scheduler_schedule_group": 64,
    "aws_security_group": 255,
    "aws_sns_topic": 256,
    "aws_ssm_document": 128,
    "aws_ssm_parameter": 1011,
}
"""Characters that AWS takes in the name of a resource of that type (each service's API reference)."""


def account() -> AccountSpec:
    return build_spec(
        AccountSpec,
        {
            "organization": ORGANIZATION,
            "region": REGION,
            "people": {"trusted": ["arn:aws:iam::123456789012:role/console"]},
            "alerts": {"emails": ["security@example.com"]},
        },
        Path("account.toml"),
    )


def environment(fleets: int = 1) -> EnvironmentSpec:
    """Return an environment that has everything that a file can ask for, under the longest names."""
    plain = {"instance_type": "p6-b200.48xlarge", "nodes": 16, "max_nodes": 16, "placement": "spread"}
    return build_spec(
        EnvironmentSpec,
        {
            "name": ENVIRONMENT,
            "team": "t" * 40,
            "owner": "owner@example.com",
            "region": REGION,
            "lease_ends": datetime.date(2030, 12, 31),
            "network": {"cidr": "10.0.0.0/16", "zones": 3, "nat": "per_zone", "flow_logs": "all"},
            "fleets": {f"{FLEET[:-2]}{number:02}": plain for number in range(fleets)},
            "efs": {"enabled": True, "backup": True},
            "fsx": {"kind": "persistent", "run_max_gib": 1200},
            "alerts": {"emails": ["someone@example.com"]},
            "budget": {"usd_per_month": 500},
        },
        Path(f"{ENVIRONMENT}.toml"),
    )


@pytest.fixture(scope="module")
def stacks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The resources of the account's and the environment's stacks, by stack."""
    out = tmp_path_factory.mktemp("longest")
    synthesize(account(), [environment()], BUNDLE, out)
    names = (naming.ACCOUNT_STACK, *naming.environment_stacks(ENVIRONMENT))
    return {
        name: json.loads((out / "stacks" / name / "cdk.tf.json").read_text())["resource"] for name in names
    }


def named(stacks: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield type and name of every resource that has a name, bucket names included."""
    for resources in stacks.values():
        for kind, each in resources.items():
            for body in each.values():
                name = body.get("name") or (body.get("bucket") if kind == "aws_s3_bucket" else None)
                if name and "${" not in name:
                    yield kind, name


def test_no_name_is_longer_than_aws_takes(stacks: dict[str, Any]) -> None:
    found = list(named(stacks))
    wrong = [f"{kind} {name} ({len(name)})" for kind, name in found if len(name) > LIMITS.get(kind, 64)]
    assert not wrong
    assert {"aws_iam_role", "aws_launch_template", "aws_s3_bucket", "aws_kms_alias"} <= dict(found).keys()
    assert max(len(name) for kind, name in found if kind == "aws_s3_bucket") == LIMITS["aws_s3_bucket"]


def published(resources: dict[str, Any]) -> str:
    """Return the outputs as they are once Terraform knows everything."""
    text: str = resources["aws_ssm_parameter"]["outputs"]["insecure_value"]
    key = f"arn:aws:kms:{REGION}:123456789012:key/12345678-1234-1234-1234-123456789012"
    text = re.sub(r"\$\{[^}]*kms_key_arn}", key, text)
    text = re.sub(r"\$\{[^}]*subnet_id_[0-9]}", "subnet-0123456789abcdef0", text)
    text = re.sub(r"\$\{[^}]*vpc_id}", "vpc-0123456789abcdef0", text)
    return re.sub(r"\$\{[^}]*}", "b" * 63, text)


def test_what_is_published_takes_at_most_what_the_rule_counts(stacks: dict[str, Any]) -> None:
    text = published(stacks[naming.fleet_stack(ENVIRONMENT)])
    assert 0 <= published_characters(environment()) - len(text) < 500
    assert published_characters(environment(fleets=6)) < PARAMETER_MAX
