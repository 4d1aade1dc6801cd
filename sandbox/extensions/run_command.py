"""Systems Manager Run Command that runs: SendCommand starts real processes on the emulated nodes.

Seam: methods on `SimpleSystemManagerResponse`, which moto finds by the action's name. moto's own SendCommand
records the call and answers Success; drop this when it can hand commands to something that runs them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from moto.core.exceptions import ServiceException
from moto.core.responses import ActionResult
from moto.ec2.models import ec2_backends
from moto.ssm.models import Documents
from moto.ssm.responses import SimpleSystemManagerResponse

from sandbox.command_answers import command_json, information_json, invocation_json, result_json
from sandbox.commands import Command, Invocation, StepResult, cancel_command, run_command
from sandbox.documents import RUN_SHELL_SCRIPT, InvalidParametersError, steps_of
from sandbox.node import Node
from sandbox.nodes import Nodes
from sandbox.parts import Parts

_FILTER_NAMES = {"InstanceIds": "instance-id"}
"""EC2's names of the targets' keys; `tag:NAME` is the same in both."""


class SsmError(ServiceException):  # type: ignore[misc]
    """An error of Systems Manager, looked up by its code in the service's model."""


class RunCommand:
    """The five actions over one store of commands; a moto response object is the request."""

    def __init__(self, nodes: Nodes) -> None:
        self.nodes = nodes
        self.commands: dict[str, Command] = {}
        self.lock = threading.Lock()

    def send_command(self, request: Any) -> ActionResult:
        """SendCommand."""
        name, version = request._get_param("DocumentName"), request._get_param("DocumentVersion")
        content = _document(request, name, version)
        parameters = request._get_param("Parameters", {})
        try:
            steps = steps_of(content, parameters)
        except InvalidParametersError as error:
            raise SsmError("InvalidParameters", str(error)) from error
        instance_ids = request._get_param("InstanceIds", [])
        targets = request._get_param("Targets", [])
        found = [self._named(request, each) for each in instance_ids] + self._targeted(request, targets)
        command = Command(
            document=name,
            document_version=version or "$DEFAULT",
            parameters=parameters,
            comment=request._get_param("Comment", ""),
            timeout_s=float(request._get_param("TimeoutSeconds", 3600)),
            targets=targets,
            instance_ids=instance_ids,
            invocations={
                node.machine.id: Invocation(node, [StepResult(step) for step in steps]) for node in found
            },
        )
        with self.lock:
            self.commands[command.id] = command
        answer = ActionResult({"Command": command_json(command)})
        run_command(command)
        return answer

    def cancel_command(self, request: Any) -> ActionResult:
        """CancelCommand."""
        cancel_command(self._command(request), request._get_param("InstanceIds", []))
        return ActionResult({})

    def list_commands(self, request: Any) -> ActionResult:
        """ListCommands."""
        return ActionResult({"Commands": [command_json(command) for command in self._chosen(request)]})

    def list_command_invocations(self, request: Any) -> ActionResult:
        """ListCommandInvocations."""
        wanted, details = request._get_param("InstanceId"), request._get_param("Details", False)
        found = [
            invocation_json(command, invocation, details=details)
            for command in self._chosen(request)
            for invocation in command.invocations.values()
            if wanted in (None, invocation.node.machine.id)
        ]
        return ActionResult({"CommandInvocations": found})

    def get_command_invocation(self, request: Any) -> ActionResult:
        """GetCommandInvocation."""
        instance_id, plugin = request._get_param("InstanceId"), request._get_param("PluginName")
        command = self.commands.get(request._get_param("CommandId"))
        invocation = command.invocations.get(instance_id) if command else None
        if command is None or invocation is None:
            raise SsmError("InvocationDoesNotExist", "the command was not sent to that instance")
        results = [result for result in invocation.results if plugin in (None, result.step.name)]
        if not results:
            raise SsmError("InvalidPluginName", f"the document has no step {plugin}")
        return ActionResult(result_json(command, invocation, results, plugin))

    def describe_instance_information(self, request: Any) -> ActionResult:
        """DescribeInstanceInformation: the nodes whose agent answers, which is after their user data."""
        wanted: set[str] | None = None
        for each in [
            *request._get_param("Filters", []),
            *request._get_param("InstanceInformationFilterList", []),
        ]:
            key, values = each.get("Key") or each.get("key"), each.get("Values") or each.get("valueSet")
            if key == "InstanceIds" or key.startswith("tag:"):
                named = set(values)
                if key != "InstanceIds":
                    tagged = self._targeted(request, [{"Key": key, "Values": values}])
                    named = {node.machine.id for node in tagged}
                wanted = named if wanted is None else wanted & named
            elif key != "PingStatus" or "Online" not in values:
                wanted = set()
        online = [
            information_json(node)
            for node in self.nodes.all()
            if node.is_online
            and node.machine.region == request.region
            and (wanted is None or node.machine.id in wanted)
        ]
        return ActionResult({"InstanceInformationList": online})

    def _named(self, request: Any, instance_id: str) -> Node:
        node = self.nodes.get(instance_id)
        if node is None or not node.running or node.machine.region != request.region:
            raise SsmError(
                "InvalidInstanceId", f"Instances [[{instance_id}]] not in a valid state for account"
            )
        return node

    def _targeted(self, request: Any, targets: list[dict[str, Any]]) -> list[Node]:
        """Return the running nodes that every target names: by `InstanceIds` or by `tag:NAME`."""
        if not targets:
            return []
        backend = ec2_backends[request.current_account][request.region]
        filters = {_FILTER_NAMES.get(target["Key"], target["Key"]): target["Values"] for target in targets}
        found = (each.id for group in backend.all_reservations(filters=filters) for each in group.instances)
        return [node for node in map(self.nodes.get, found) if node is not None and node.running]

    def _command(self, request: Any) -> Command:
        command = self.commands.get(request._get_param("CommandId"))
        if command is None:
            raise SsmError("InvalidCommandId", "there is no such command")
        return command

    def _chosen(self, request: Any) -> list[Command]:
        """Return the commands that the request asks for, latest first."""
        chosen, wanted = request._get_param("CommandId"), request._get_param("InstanceId")
        with self.lock:
            commands = list(reversed(self.commands.values()))
        commands = [each for each in commands if wanted is None or wanted in each.invocations]
        return commands if chosen is None else [command for command in commands if command.id == chosen]


def install(parts: Parts) -> None:
    """Give moto's responses class the actions."""
    run_commands = RunCommand(parts.nodes)

    def method(action: Callable[[Any], ActionResult]) -> Callable[[Any], ActionResult]:
        return lambda request: action(request)

    for name in (
        "send_command",
        "cancel_command",
        "list_commands",
        "list_command_invocations",
        "get_command_invocation",
        "describe_instance_information",
    ):
        setattr(SimpleSystemManagerResponse, name, method(getattr(run_commands, name)))


def _document(request: Any, name: str, version: str | None) -> dict[str, Any]:
    """Return the content of a command document; an ARN names it as well as its name."""
    name = name.rsplit("/", 1)[-1] if name.startswith("arn:") else name
    if name == "AWS-RunShellScript":
        return RUN_SHELL_SCRIPT
    documents: Documents = request.ssm_backend._get_documents(name)
    found = documents.find(None if version == "$DEFAULT" else version)
    if found.document_type != "Command":
        raise SsmError("InvalidDocument", f"{name} is not a Command document")
    content: dict[str, Any] = found.content_json
    return content
