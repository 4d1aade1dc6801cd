"""`fleetform sandbox`: start, stop and look at the embedded cloud."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from scripts.console_io import emit_json, note, say
from scripts.options import json_option
from scripts.sandbox_fault import command as fault

if TYPE_CHECKING:
    from sandbox.daemon import Status


@click.group()
def command() -> None:
    """Run a cloud on this machine: no account, no cost, nothing leaves the machine.

    It lives in the project's working folder and forgets everything when it stops.
    """


@command.command()
@click.option(
    "--cores-per-node",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Cores of this machine that each emulated GPU node gets.",
)
@click.option(
    "--scheduler",
    type=click.Choice(["plain", "slurm"]),
    default="plain",
    show_default=True,
    help="What carries out the runs of every environment in it.",
)
@json_option
def start(cores_per_node: int, scheduler: str, as_json: bool) -> int:
    """Start the embedded cloud, or find the one that runs, and make it this project's cloud."""
    from fleet.project import find_folder
    from sandbox import daemon
    from stacks.problems import UserError

    if importlib.util.find_spec("moto") is None:
        raise UserError.of(
            "the embedded cloud is not installed", "install it: pip install 'fleetform[sandbox]'"
        )
    project = find_folder()
    before = daemon.status(project.home)
    with _failures_told():
        try:
            running = daemon.start(project.home, cores_per_node=cores_per_node, scheduler=scheduler)
        except daemon.SlurmMissingError as error:
            raise UserError.of("the embedded cloud cannot use Slurm", str(error)) from error
    if before is not None and before.cores_per_node != cores_per_node:
        note(f"warning: --cores-per-node has no effect: it runs already, with {before.cores_per_node}")
    if before is not None and before.scheduler != scheduler:
        note(f"warning: --scheduler has no effect: it runs already, with {before.scheduler}")
    if as_json:
        emit_json(dataclasses.asdict(running))
    else:
        verb = "runs already" if before else "started"
        say(f"the embedded cloud {verb} at {running.endpoint} (process {running.pid}), {_engine(running)}")
        say("it is this project's cloud now; `--cloud aws` reaches for an AWS account instead")
        if not project.environments.is_dir():
            say(f"next, in {project.root}: `fleetform init NAME` writes the first environment")
    return 0


@command.command()
@json_option
def status(as_json: bool) -> int:
    """Say whether the embedded cloud runs, and where. Exit code 0 if it runs, 1 if not."""
    from fleet.project import find_folder
    from sandbox import daemon

    running = daemon.status(find_folder().home)
    if as_json:
        emit_json(dataclasses.asdict(running) if running else None)
    elif running:
        where = f"{running.endpoint} since {running.started} (process {running.pid})"
        say(f"running at {where}, {_engine(running)}")
    else:
        say("not running; `fleetform sandbox start` starts it")
    return 0 if running else 1


@command.command()
def stop() -> int:
    """Stop the embedded cloud, its emulated nodes and everything that was built in it."""
    from fleet.project import find_folder
    from sandbox import daemon

    if daemon.stop(find_folder().home):
        say("stopped; it stays this project's cloud, so nothing reaches for an AWS account by mistake")
    else:
        say("it was not running")
    return 0


@command.command()
@click.argument("days", type=click.IntRange(min=1, max=3660))
def forward(days: int) -> int:
    """Put the cloud's clock forward by DAYS: schedules fire, leases end.

    It cannot be put back; stopping the cloud forgets it, with everything else.
    """
    from fleet.project import find_folder
    from sandbox import daemon

    with _failures_told():
        now = daemon.forward(find_folder().home, days)
    say(f"it is {now[:19]}Z in the embedded cloud")
    return 0


@command.command()
@click.argument("instance")
@click.option(
    "--after",
    type=click.FloatRange(min=0),
    default=120.0,
    show_default=True,
    metavar="SECONDS",
    help="How long after the notice the machine ends.",
)
def interrupt(instance: str, after: float) -> int:
    """Take the spot INSTANCE back as EC2 does: a notice in its metadata now, its end later."""
    from fleet.project import find_folder
    from sandbox import daemon

    with _failures_told():
        ends = daemon.interrupt(find_folder().home, instance, after)
    say(f"{instance} has its notice and ends at {ends}")
    return 0


@command.command()
@click.argument("environment")
@click.argument("node")
def kill(environment: str, node: str) -> int:
    """Take the power of an ENVIRONMENT's machine away: NODE is its name in the queue, `head`, or an instance.

    Nothing is said before and nothing of it is left running; its group starts another.
    """
    from fleet.project import find_folder
    from sandbox import daemon

    with _failures_told():
        instance_id = daemon.kill(find_folder().home, node, environment)
    say(f"{instance_id} has lost its power")
    return 0


@contextmanager
def _failures_told() -> Iterator[None]:
    """Say what the embedded cloud can't do as the failure of every act is said."""
    from fleet.errors import ActError
    from sandbox.daemon import SandboxError

    try:
        yield
    except SandboxError as error:
        raise ActError(str(error)) from error


def _engine(running: Status) -> str:
    """Return what carries out runs, and how the machines share this one."""
    layout = "" if running.scheduler == "plain" else f" in {running.layout}"
    return f"scheduler {running.scheduler}{layout}"


@command.command()
@click.option("--region", help="Set the region too; the `aws` command wants one.")
def env(region: str | None) -> int:
    """Print the variables for other tools: eval "$(fleetform sandbox env)", then `aws`, `cdktf`, boto3.

    `terraform init`, which cdktf calls, is led to the provider where this machine has it.
    """
    from fleet.cloud import cloud_file
    from fleet.project import find_folder
    from fleet.terraform_find import plain_variables
    from sandbox import daemon
    from stacks.problems import UserError

    project = find_folder()
    if daemon.status(project.home) is None:
        raise UserError.of("the embedded cloud is not running", "start it: `fleetform sandbox start`")
    variables: dict[str, str] = json.loads(cloud_file(project, "sandbox").read_text())
    variables |= plain_variables(project.home / "provider.json", os.environ)
    if region:
        variables["AWS_REGION"] = variables["AWS_DEFAULT_REGION"] = region  # boto3 reads the second alone
    for name, value in variables.items():
        say(f"export {name}={shlex.quote(value)}")
    return 0


command.add_command(fault)
