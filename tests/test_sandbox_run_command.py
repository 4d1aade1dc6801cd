"""Systems Manager Run Command in the embedded cloud: the statuses, outputs and refusals of the real one."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from fleet.cloud import Cloud
from sandbox.processes import NODE_VARIABLE, marked
from tests.sandbox_helpers import api, finished, run_instances, run_script, wait_for

pytestmark = pytest.mark.sandbox

DOCUMENT: dict[str, Any] = {
    "schemaVersion": "2.2",
    "parameters": {
        "RunId": {"type": "String", "allowedPattern": "^[a-z0-9-]{1,20}$"},
        "Mode": {"type": "String", "default": "fast", "allowedValues": ["fast", "slow"]},
    },
    "mainSteps": [
        {
            "action": "aws:runShellScript",
            "name": "first",
            "inputs": {"runCommand": ["echo run={{ RunId }}", "echo mode={{ Mode }} >&2"]},
        },
        {"action": "aws:runShellScript", "name": "second", "inputs": {"runCommand": ["echo second"]}},
    ],
}


@pytest.fixture(scope="module")
def node(sandbox: Cloud) -> str:
    [instance_id] = run_instances(sandbox, purpose="run-command")
    return instance_id


@pytest.fixture(scope="module")
def document(sandbox: Cloud) -> str:
    api(sandbox, "ssm").create_document(
        Name="run-job-of-the-tests",
        Content=json.dumps(DOCUMENT),
        DocumentType="Command",
        DocumentFormat="JSON",
    )
    return "run-job-of-the-tests"


def send(cloud: Cloud, document: str, node: str, **parameters: str) -> str:
    sent = api(cloud, "ssm").send_command(
        DocumentName=document,
        InstanceIds=[node],
        Parameters={name: [value] for name, value in parameters.items()},
    )
    return str(sent["Command"]["CommandId"])


def test_success_brings_what_was_written(sandbox: Cloud, node: str) -> None:
    result = run_script(sandbox, node, "echo out; echo err >&2")
    assert (result["Status"], result["ResponseCode"]) == ("Success", 0)
    assert (result["StandardOutputContent"], result["StandardErrorContent"]) == ("out\n", "err\n")


def test_failure_brings_the_exit_code(sandbox: Cloud, node: str) -> None:
    result = run_script(sandbox, node, "exit 3")
    assert (result["Status"], result["ResponseCode"]) == ("Failed", 3)


def test_a_working_directory_that_is_not_there_fails(sandbox: Cloud, node: str) -> None:
    parameters = {"commands": "true", "workingDirectory": "/no/such/folder"}
    result = finished(sandbox, send(sandbox, "AWS-RunShellScript", node, **parameters), node)
    assert (result["Status"], "/no/such/folder" in result["StandardErrorContent"]) == ("Failed", True)


def test_output_is_cut_where_the_cloud_cuts_it(sandbox: Cloud, node: str) -> None:
    assert len(run_script(sandbox, node, "seq 100000")["StandardOutputContent"]) == 24_000


def test_a_document_of_our_own_runs_with_its_defaults(sandbox: Cloud, node: str, document: str) -> None:
    command_id = send(sandbox, document, node, RunId="r-1")
    result = finished(sandbox, command_id, node)
    assert result["StandardOutputContent"] == "run=r-1\nsecond\n"
    assert result["StandardErrorContent"] == "mode=fast\n"
    one_step = api(sandbox, "ssm").get_command_invocation(
        CommandId=command_id, InstanceId=node, PluginName="second"
    )
    assert one_step["StandardOutputContent"] == "second\n"


@pytest.mark.parametrize(
    "parameters",
    [
        {"RunId": "r-1; rm -rf /"},
        {"RunId": "r-1", "Mode": "other"},
        {"RunId": "r-1", "Unknown": "x"},
        {},
    ],
)
def test_parameters_that_do_not_fit_are_refused(
    sandbox: Cloud, node: str, document: str, parameters: dict[str, str]
) -> None:
    with pytest.raises(ClientError, match="InvalidParameters"):
        send(sandbox, document, node, **parameters)


@pytest.mark.parametrize(
    ("document_name", "instance_id", "code"),
    [
        ("no-such-document", None, "InvalidDocument"),
        ("AWS-RunShellScript", "i-0123456789abcdef0", "InvalidInstanceId"),
    ],
)
def test_what_does_not_exist_is_refused(
    sandbox: Cloud, node: str, document_name: str, instance_id: str | None, code: str
) -> None:
    with pytest.raises(ClientError, match=code):
        send(sandbox, document_name, instance_id or node, commands="true")


def test_an_invocation_that_was_never_sent_does_not_exist(sandbox: Cloud, node: str) -> None:
    with pytest.raises(ClientError, match="InvocationDoesNotExist"):
        api(sandbox, "ssm").get_command_invocation(
            CommandId="00000000-0000-0000-0000-000000000000", InstanceId=node
        )


def test_targets_are_found_by_tag(sandbox: Cloud) -> None:
    wanted = run_instances(sandbox, 2, purpose="by-tag")
    ssm = api(sandbox, "ssm")
    command_id = ssm.send_command(
        DocumentName="AWS-RunShellScript",
        Targets=[{"Key": "tag:purpose", "Values": ["by-tag"]}],
        Parameters={"commands": ["echo $FLEETFORM_NODE_ID"]},
    )["Command"]["CommandId"]
    for instance_id in wanted:
        assert finished(sandbox, command_id, instance_id)["StandardOutputContent"] == f"{instance_id}\n"
    [command] = ssm.list_commands(CommandId=command_id)["Commands"]
    assert (command["Status"], command["TargetCount"], command["CompletedCount"]) == ("Success", 2, 2)
    details = ssm.list_command_invocations(CommandId=command_id, Details=True)["CommandInvocations"]
    assert {each["InstanceId"] for each in details} == set(wanted)
    assert all(each["CommandPlugins"][0]["Status"] == "Success" for each in details)


def test_a_command_that_takes_too_long_is_ended(sandbox: Cloud, node: str) -> None:
    ssm = api(sandbox, "ssm")
    command_id = ssm.send_command(
        DocumentName="AWS-RunShellScript",
        InstanceIds=[node],
        Parameters={"commands": ["echo begun; sleep 600 & sleep 600"], "executionTimeout": ["1"]},
    )["Command"]["CommandId"]
    result = finished(sandbox, command_id, node)
    assert (result["Status"], result["StatusDetails"]) == ("TimedOut", "ExecutionTimedOut")
    assert result["StandardOutputContent"] == "begun\n"


def test_a_cancelled_command_is_killed_with_its_group_and_not_asked(sandbox: Cloud, node: str) -> None:
    script = "trap 'echo asked' TERM; echo begun > begun; sleep 600 & while :; do sleep 0.1; done"
    before = marked(NODE_VARIABLE, node)
    command_id = send(sandbox, "AWS-RunShellScript", node, commands=script)
    wait_for(lambda: len(marked(NODE_VARIABLE, node)) > len(before) + 1)
    api(sandbox, "ssm").cancel_command(CommandId=command_id)
    result = finished(sandbox, command_id, node)
    assert (result["Status"], result["StandardOutputContent"]) == ("Cancelled", "")
    wait_for(lambda: marked(NODE_VARIABLE, node) == before)


def test_nobody_reports_for_an_instance_that_is_gone(sandbox: Cloud) -> None:
    [instance_id] = run_instances(sandbox)
    command_id = send(sandbox, "AWS-RunShellScript", instance_id, commands="sleep 600")
    wait_for(lambda: marked(NODE_VARIABLE, instance_id))
    api(sandbox, "ec2").terminate_instances(InstanceIds=[instance_id])
    wait_for(lambda: not marked(NODE_VARIABLE, instance_id))
    found = api(sandbox, "ssm").get_command_invocation(CommandId=command_id, InstanceId=instance_id)
    assert found["Status"] == "InProgress"
