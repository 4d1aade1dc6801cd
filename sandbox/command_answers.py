"""Run Command's answers: commands, invocations and nodes as Systems Manager's API describes them."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sandbox.commands import FINAL, OUTPUT_LIMIT, Command, Invocation, StepResult
from sandbox.node import Node

LIST_OUTPUT_LIMIT = 2500
"""Characters of output that ListCommandInvocations returns per step, as the API reference has it."""


def command_json(command: Command) -> dict[str, Any]:
    """Return the shape `Command`."""
    status, details = command.status
    statuses = [invocation.status for invocation in command.invocations.values()]
    return {
        "CommandId": command.id,
        "DocumentName": command.document,
        "DocumentVersion": command.document_version,
        "Comment": command.comment,
        "Parameters": command.parameters,
        "InstanceIds": command.instance_ids,
        "Targets": command.targets,
        "RequestedDateTime": command.requested,
        "ExpiresAfter": command.requested + timedelta(seconds=command.timeout_s),
        "TimeoutSeconds": int(command.timeout_s),
        "Status": status,
        "StatusDetails": details,
        "TargetCount": len(statuses),
        "CompletedCount": sum(each in FINAL for each in statuses),
        "ErrorCount": sum(each in ("Failed", "TimedOut") for each in statuses),
        "DeliveryTimedOutCount": 0,
        "MaxConcurrency": "50",
        "MaxErrors": "0",
    }


def invocation_json(command: Command, invocation: Invocation, *, details: bool) -> dict[str, Any]:
    """Return the shape `CommandInvocation`."""
    plugins = [
        {
            "Name": result.step.name,
            "Status": _step_status(invocation, result),
            "ResponseCode": result.exit_code,
            "ResponseStartDateTime": result.started,
            "ResponseFinishDateTime": result.ended,
            "Output": (result.output + result.errors)[:LIST_OUTPUT_LIMIT],
        }
        for result in invocation.results
    ]
    return {
        "CommandId": command.id,
        "InstanceId": invocation.node.machine.id,
        "Comment": command.comment,
        "DocumentName": command.document,
        "DocumentVersion": command.document_version,
        "RequestedDateTime": invocation.requested,
        "Status": invocation.status,
        "StatusDetails": invocation.details,
        "CommandPlugins": plugins if details else [],
    }


def result_json(
    command: Command, invocation: Invocation, results: list[StepResult], plugin: str | None
) -> dict[str, Any]:
    """Return GetCommandInvocation's result, over all steps or over the one that is asked for."""
    return {
        "CommandId": command.id,
        "InstanceId": invocation.node.machine.id,
        "Comment": command.comment,
        "DocumentName": command.document,
        "DocumentVersion": command.document_version,
        "PluginName": plugin or results[0].step.name,
        "ResponseCode": results[-1].exit_code if results[-1].ended or len(results) == 1 else -1,
        "ExecutionStartDateTime": _iso(results[0].started),
        "ExecutionEndDateTime": _iso(results[-1].ended),
        "ExecutionElapsedTime": _elapsed(results[0].started, results[-1].ended),
        "Status": invocation.status,
        "StatusDetails": invocation.details,
        "StandardOutputContent": "".join(result.output for result in results)[:OUTPUT_LIMIT],
        "StandardErrorContent": "".join(result.errors for result in results)[:OUTPUT_LIMIT],
        "StandardOutputUrl": "",
        "StandardErrorUrl": "",
    }


def _step_status(invocation: Invocation, result: StepResult) -> str:
    if result.started is None:
        return "Pending" if invocation.status in ("Pending", "InProgress") else invocation.status
    if result.ended is None:
        return "InProgress"
    return "Success" if result.exit_code == 0 else "Failed"


def information_json(node: Node) -> dict[str, Any]:
    """Return the shape `InstanceInformation`."""
    return {
        "InstanceId": node.machine.id,
        "PingStatus": "Online",
        "AgentVersion": "3.3.0.0",
        "IsLatestVersion": True,
        "PlatformType": "Linux",
        "PlatformName": "Ubuntu",
        "PlatformVersion": "22.04",
        "ResourceType": "EC2Instance",
        "IPAddress": node.address,
        "ComputerName": f"ip-{node.address.replace('.', '-')}.ec2.internal",
    }


def _iso(moment: datetime | None) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z") if moment else ""


def _elapsed(started: datetime | None, ended: datetime | None) -> str:
    return f"PT{(ended - started).total_seconds():.3f}S" if started and ended else ""
