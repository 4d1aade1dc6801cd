"""The embedded cloud under the real terraform and provider: apply, an empty plan, a clean destroy."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fleet import terraform_find
from fleet.cloud import Cloud
from tests.sandbox_helpers import admin, api, finished, wait_for

pytestmark = [pytest.mark.sandbox, pytest.mark.terraform]
STACK = Path(__file__).parent / "fixtures/sandbox_stack.tf.json"
NAME = "sandbox-test"


class Terraform:
    """Terraform in one folder against the embedded cloud."""

    def __init__(self, folder: Path, cloud: Cloud) -> None:
        self.folder = folder
        self.environment = terraform_find.child_environment(cloud.process_environment())

    def __call__(self, *arguments: str, expect: int = 0) -> str:
        """Run terraform and return what it printed."""
        command = [str(terraform_find.find_terraform()), *arguments, "-no-color"]
        result = subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=300
        )
        assert result.returncode == expect, result.stdout + result.stderr
        return result.stdout


@pytest.fixture
def terraform(sandbox: Cloud, tmp_path: Path) -> Iterator[Terraform]:
    shutil.copy(STACK, tmp_path / "main.tf.json")
    runner = Terraform(tmp_path, sandbox)
    mirror = terraform_find.find_plugin_dir(tmp_path / "cache", "5.100.0", os.environ)
    runner("init", "-input=false", *([f"-plugin-dir={mirror}"] if mirror else []))
    yield runner
    admin(sandbox, "DELETE", "faults")


def group(cloud: Cloud) -> dict[str, Any]:
    [found] = api(cloud, "autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[NAME])[
        "AutoScalingGroups"
    ]
    return dict(found)


def left(cloud: Cloud) -> set[str]:
    """Return the kinds of what has the stack's tag and is there; a key that waits for deletion is gone."""
    pages = api(cloud, "resourcegroupstaggingapi").get_paginator("get_resources")
    filters = [{"Key": "stack", "Values": [NAME]}]
    arns = [
        each["ResourceARN"]
        for page in pages.paginate(TagFilters=filters)
        for each in page["ResourceTagMappingList"]
    ]
    return {arn.split(":")[5].split("/")[0] for arn in arns} - {"key"}


def test_a_stack_without_capacity_says_why_and_with_it_is_built_planned_empty_used_and_destroyed(
    sandbox: Cloud, terraform: Terraform
) -> None:
    message = "We currently do not have sufficient g5.xlarge capacity."
    rule = {"service": "ec2", "action": "RunInstances", "code": "InsufficientInstanceCapacity"}
    admin(sandbox, "POST", "faults", {**rule, "message": message})
    said = terraform("apply", "-auto-approve", "-parallelism=30", "-json", expect=1)
    assert message.removesuffix(".") in said
    admin(sandbox, "DELETE", "faults")

    terraform("apply", "-auto-approve", "-parallelism=30")
    assert "No changes" in terraform("plan", "-detailed-exitcode")
    instances = [each["InstanceId"] for each in group(sandbox)["Instances"]]
    assert len(instances) == 2
    ssm = api(sandbox, "ssm")
    command_id = ssm.send_command(DocumentName=NAME, Targets=[{"Key": "tag:fleet", "Values": ["gpu"]}])[
        "Command"
    ]["CommandId"]
    for instance_id in instances:
        assert "booted\n" in finished(sandbox, command_id, instance_id)["StandardOutputContent"]
    assert {"placement-group", "launch-template", "capacity-reservation", "vpc"} <= left(sandbox)
    terraform("destroy", "-auto-approve", "-parallelism=30")
    assert left(sandbox) == set()
    assert wait_for(lambda: not [each for each in instances if _has_node(ssm, each)])


def _has_node(ssm: Any, instance_id: str) -> bool:
    filters = [{"Key": "InstanceIds", "Values": [instance_id]}]
    return bool(ssm.describe_instance_information(Filters=filters)["InstanceInformationList"])
