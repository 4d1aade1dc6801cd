"""Run Command without the API around it: each command's steps as real processes on the emulated nodes."""

from __future__ import annotations

import subprocess
import threading
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from sandbox.documents import Step
from sandbox.node import Node, NodeGoneError
from sandbox.processes import kill_group

OUTPUT_LIMIT = 24_000
"""Characters of each output that GetCommandInvocation returns, as the API reference has it."""
FINAL = ("Success", "Failed", "TimedOut", "Cancelled")


@dataclass
class StepResult:
    """What became of one step on one node."""

    step: Step
    exit_code: int = -1
    output: str = ""
    errors: str = ""
    started: datetime | None = None
    ended: datetime | None = None


@dataclass
class Invocation:
    """A command on one node."""

    node: Node
    results: list[StepResult]
    status: str = "Pending"
    details: str = "Pending"
    requested: datetime = field(default_factory=lambda: datetime.now(UTC))
    cancelled: threading.Event = field(default_factory=threading.Event)
    process: subprocess.Popen[bytes] | None = None
    """The running step."""

    def finish(self, status: str, details: str = "") -> None:
        """Record the final status."""
        self.status, self.details = status, details or status


@dataclass
class Command:
    """A command on all its nodes."""

    document: str
    document_version: str
    parameters: dict[str, list[str]]
    comment: str
    timeout_s: float
    targets: list[dict[str, object]]
    instance_ids: list[str]
    """As they were named in the request."""
    invocations: dict[str, Invocation]
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    requested: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def status(self) -> tuple[str, str]:
        """Status and its details over all nodes: the worst of the final ones once all are final."""
        found = [invocation.status for invocation in self.invocations.values()]
        if not found:
            return "Failed", "NoInstancesInTag"
        if all(status in FINAL for status in found):
            worst = next(
                status for status in ("Cancelled", "TimedOut", "Failed", "Success") if status in found
            )
            return worst, "DeliveryTimedOut" if worst == "TimedOut" else worst
        if all(status == "Pending" for status in found):
            return "Pending", "Pending"
        return "InProgress", "InProgress"


def run_command(command: Command) -> None:
    """Start the command on each of its nodes, in the background."""
    for invocation in command.invocations.values():
        threading.Thread(target=_run, args=[command, invocation], daemon=True).start()


def cancel_command(command: Command, instance_ids: Sequence[str]) -> None:
    """Cancel the command on those of its nodes where it has not ended; on all where none is named.

    What runs is killed at once with its process group, as the agent in the cloud does it (SIGKILL, in
    `agent/executers/executers_unix.go` of amazon-ssm-agent): there is no SIGTERM to clean up after.
    """
    for instance_id in instance_ids or list(command.invocations):
        invocation = command.invocations.get(instance_id)
        if invocation is not None and invocation.status not in FINAL:
            invocation.cancelled.set()
            if invocation.process is not None:
                kill_group(invocation.process)
            if invocation.status == "Pending":
                invocation.finish("Cancelled")


def _run(command: Command, invocation: Invocation) -> None:
    """Take the command through one node."""
    if not invocation.node.booted.wait(command.timeout_s):
        invocation.finish("TimedOut", "DeliveryTimedOut")
        return
    outcome = "Success"
    for number, result in enumerate(invocation.results):
        if invocation.cancelled.is_set():
            break
        invocation.status = invocation.details = "InProgress"
        try:
            timed_out = _run_step(command, invocation, result, number)
        except NodeGoneError:
            return  # nobody is left to report: it stays in progress, as with an instance that is lost
        except OSError as error:  # a working directory that is not there
            result.errors, result.exit_code = str(error), 127
            timed_out = False
        if not invocation.node.running:
            return
        if timed_out:
            invocation.finish("TimedOut", "ExecutionTimedOut")
            return
        if result.exit_code != 0:
            outcome = "Failed"
            if result.step.exit_on_failure:
                break
    invocation.finish("Cancelled" if invocation.cancelled.is_set() else outcome)


def _run_step(command: Command, invocation: Invocation, result: StepResult, number: int) -> bool:
    """Run one step to its end and keep what it wrote; return whether it ran out of time."""
    node, step = invocation.node, result.step
    if not node.running:
        raise NodeGoneError(node.machine.id)
    folder = node.root / "var/lib/amazon/ssm" / command.id / f"{number}.{step.name}"
    folder.mkdir(parents=True)
    script = folder / "_script.sh"
    script.write_text(step.script)
    outputs = folder / "stdout", folder / "stderr"
    result.started = datetime.now(UTC)
    with outputs[0].open("wb") as output, outputs[1].open("wb") as errors:
        process = node.spawn(
            ["sh", script],
            output=output,
            errors=errors,
            extra={"AWS_SSM_INSTANCE_ID": node.machine.id, "AWS_SSM_REGION_NAME": node.machine.region},
            folder=Path(step.folder) if step.folder else None,
        )
    timed_out = threading.Event()

    def time_out() -> None:
        timed_out.set()
        kill_group(process)

    timer = threading.Timer(step.timeout_s, time_out)
    timer.daemon = True
    timer.start()
    invocation.process = process
    if invocation.cancelled.is_set():  # while it was being started
        kill_group(process)
    code = process.wait()
    timer.cancel()
    result.exit_code = code if code >= 0 else 128 - code  # 128 + the signal, as a shell reports it
    result.ended = datetime.now(UTC)
    result.output, result.errors = (file.read_text(errors="replace")[:OUTPUT_LIMIT] for file in outputs)
    return timed_out.is_set()
