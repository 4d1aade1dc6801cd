"""Systems Manager commands on single nodes: sent, looked at, cancelled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from node.aws import aws_errors, error_code

_WAITING = frozenset({"Pending", "Delayed"})
_THROTTLED = frozenset(
    {"ThrottlingException", "Throttling", "TooManyRequestsException", "RequestLimitExceeded"}
)
_LIVING = frozenset({"InProgress", "Cancelling"})
DELIVERY_SECONDS = 300
"""How long Systems Manager tries to hand a command to a node before it gives up."""


@dataclass(frozen=True)
class Invocation:
    """One command on one node, as Systems Manager sees it."""

    status: str
    """Pending, Delayed, InProgress, Cancelling, Success, Failed, Cancelled or TimedOut."""
    exit_code: int | None
    """None until it has ended, and where it never ran."""
    stderr: str
    """The end of what the runner itself wrote to standard error."""

    @property
    def started(self) -> bool:
        """Whether the node has begun with it."""
        return self.status not in _WAITING

    @property
    def ended(self) -> bool:
        """Whether nothing will change any more."""
        return self.started and self.status not in _LIVING


def send(ssm: Any, document: str, instance_id: str, parameters: Mapping[str, str], comment: str) -> str:
    """Send the document to one node and return the command's id."""
    answer = ssm.send_command(
        DocumentName=document,
        InstanceIds=[instance_id],
        Parameters={name: [value] for name, value in parameters.items()},
        Comment=comment,
        TimeoutSeconds=DELIVERY_SECONDS,
    )
    return str(answer["Command"]["CommandId"])


def is_throttled(error: Exception) -> bool:
    """Return whether AWS refused the call only because there were too many, so that nothing was done."""
    return error_code(error) in _THROTTLED


def find(ssm: Any, instance_id: str, comment: str) -> str | None:
    """Return the id of the latest command on the node with that comment, or None: a send may be heard."""
    pages = ssm.get_paginator("list_command_invocations").paginate(InstanceId=instance_id)
    found = [each for page in pages for each in page["CommandInvocations"] if each.get("Comment") == comment]
    return str(max(found, key=lambda each: each["RequestedDateTime"])["CommandId"]) if found else None


def look(ssm: Any, command_id: str, instance_id: str) -> Invocation:
    """Return how the command stands on the node; one that is not known there yet is Pending."""
    try:
        answer = ssm.get_command_invocation(CommandId=command_id, InstanceId=instance_id)
    except aws_errors() as error:
        if error_code(error) == "InvocationDoesNotExist":
            return Invocation("Pending", None, "")
        raise
    # Systems Manager answers -1 for a command that has not ended, or that never ran.
    code = int(answer.get("ResponseCode", -1))
    return Invocation(
        answer["Status"], code if code >= 0 else None, answer.get("StandardErrorContent", "")[-2000:]
    )


def cancel(ssm: Any, command_id: str, instance_id: str) -> None:
    """Cancel the command; a real machine's agent kills the runner's process group with SIGKILL at once."""
    ssm.cancel_command(CommandId=command_id, InstanceIds=[instance_id])
