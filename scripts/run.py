"""`fleetform run`: run a recipe or a script on an environment's fleet."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from scripts.console_io import emit_json, note, say, warn
from scripts.options import cloud_option, environment_argument, json_option

if TYPE_CHECKING:
    from fleet.job import JobSpec


_QUEUE_OPTIONS = (
    click.option(
        "--team", envvar="FLEETFORM_TEAM", metavar="NAME", help="Whose share it counts to. [default: the own]"
    ),
    click.option("--priority", default="normal", show_default=True, help="`low`, `normal` or `high`."),
    click.option("--begin", default="", metavar="TIME", help="Not before: `2026-11-23T06:00`, `+2h`."),
    click.option("--after", multiple=True, metavar="RUN", help="Once this run has succeeded; repeat it."),
    click.option("--after-any", is_flag=True, help="Start after those runs however they end."),
    click.option(
        "--array", default="", metavar="FIRST-LAST[%N]", help="One run for each index, at most N at once."
    ),
    click.option(
        "--requeues", type=int, default=3, show_default=True, help="Queue it again so often after a crash."
    ),
    click.option("--gpus-per-node", type=int, help="GPUs of each node; fewer share it. [default: all]"),
    click.option(
        "--packages", type=click.Path(path_type=Path), metavar="FILE",
        help="A requirements file, locked with hashes, to install for the run.",
    ),
    click.option("--container", default="", metavar="IMAGE", help="An image to run in (enroot and pyxis)."),
)  # fmt: skip
"""What a run tells the queue."""


def _queue_options(function: Callable[..., int]) -> Callable[..., int]:
    for option in reversed(_QUEUE_OPTIONS):
        function = option(function)
    return function


@click.command(context_settings={"ignore_unknown_options": False})
@environment_argument
@click.argument("words", nargs=-1, metavar="[KEY=VALUE ...] | -- SCRIPT [ARGUMENTS ...]")
@click.option("--recipe", metavar="NAME", help="A recipe of the trainer: `python -m trainer --list`.")
@click.option("--nodes", type=int, default=1, show_default=True, help="Nodes to run on.")
@click.option(
    "--procs-per-node", type=int, help="Processes on each node. [default: one for each GPU, or one]"
)
@click.option("--fleet", metavar="NAME", help="The fleet to run on. [default: the only one]")
@click.option(
    "--checkpoints", is_flag=True, help="The script writes checkpoints; asked for on several spot nodes."
)
@click.option("--max-minutes", type=int, default=1440, show_default=True, help="Stop it after this long.")
@click.option(
    "--fsx-gib",
    type=int,
    default=0,
    metavar="GIB",
    help="A fast file system (FSx for Lustre) for the length of the run: 1200, or a multiple of 2400.",
)
@_queue_options
@click.option(
    "--resume", metavar="RUN", help="Go on with a run that has ended too early, from its checkpoints."
)
@click.option("--dry-run", is_flag=True, help="Print the script that would run, to the letter, and stop.")
@click.option(
    "--estimate",
    is_flag=True,
    help="Say how long it would take, what it would cost and whether it may; stop.",
)
@click.option("--follow", "-f", is_flag=True, help="Stay, and print its events and logs until it ends.")
@json_option
@cloud_option
def command(
    environment: str,
    words: tuple[str, ...],
    recipe: str | None,
    resume: str | None,
    dry_run: bool,
    estimate: bool,
    follow: bool,
    as_json: bool,
    cloud: str | None,
    **asked: Any,
) -> int:
    """Run a recipe, or any script that torchrun can start, on ENVIRONMENT.

    \b
      fleetform run vision --recipe digits samples=20000 --nodes 2 --follow
      fleetform run vision --nodes 2 -- train.py --lr 0.01
      fleetform run vision --array 0-9%4 --after 20261122-170203-abcde -- sweep.py

    A run that was PREEMPTED, or ended otherwise before its job was done, goes on from its checkpoints:

    \b
      fleetform run vision --resume 20261122-170203-abcde --follow

    The files beside a script travel with it. Exit code with --follow: 0 when the run succeeded, 1 otherwise.
    """
    from fleet.job import JobSpec

    if resume is not None:
        says_more = bool(recipe or words or dry_run or estimate)
        return _resume(environment, resume, says_more, cloud, follow, as_json)
    script = Path(words[0]) if recipe is None and words else None
    job = JobSpec(
        environment=environment, recipe=recipe, overrides=words if recipe is not None else (),
        script=script, arguments=words[1:] if script else (), **asked,
    )  # fmt: skip
    if estimate:
        return _estimate(job, cloud, as_json)
    return _dry_run(job, cloud) if dry_run else _run(job, cloud, follow, as_json)


def _estimate(job: JobSpec, cloud: str | None, as_json: bool) -> int:
    from scripts.run_estimate import say_estimate

    return say_estimate(job, cloud, as_json=as_json)


def _dry_run(job: JobSpec, cloud: str | None) -> int:
    """Print the launch script, from the environment's file and what it brings along."""
    from fleet.cloud import choose_cloud
    from fleet.job import build_request, declared_fleets, declared_site, render_launch_script
    from fleet.job_queueing import ignored_settings
    from fleet.project import find_project
    from fleet.requirements import read_requirements
    from stacks.guardrails import load_checked

    project = find_project()
    _, spec = load_checked(project.environments, job.environment)
    site = declared_site(spec, choose_cloud(project, cloud).variables)
    request = build_request(job, declared_fleets(spec), spec.fsx.run_max_gib, site)
    if job.packages:
        read_requirements(job.packages)
    for each in ignored_settings(job, site):
        warn(each)
    click.echo(render_launch_script(request), nl=False)
    return 0


def _resume(
    environment: str, run_id: str, says_more: bool, cloud: str | None, follow: bool, as_json: bool
) -> int:
    from fleet.environment import read_outputs
    from fleet.resume import resume
    from fleet.session import open_session
    from scripts.run_output import follow_to_end
    from stacks.problems import UserError

    if says_more:
        what = "a run is resumed as it was submitted"
        raise UserError.of(
            what, "leave out the recipe, the script, --dry-run and --estimate", path="--resume"
        )
    session = open_session(environment, cloud, act="run.submit")
    assert session.caller
    outputs = read_outputs(session)
    head = resume(session, outputs, run_id)
    if follow:
        note(f"run {run_id} goes on")
        return follow_to_end(session, run_id, as_json=as_json, new_only=True)
    if as_json:
        emit_json({"run_id": run_id, "head": head})
    else:
        say(run_id)
        note(f"it goes on; follow it: fleetform logs {environment} {run_id} -f")
    return 0


def _run(job: JobSpec, cloud: str | None, follow: bool, as_json: bool) -> int:
    from fleet.environment import read_outputs
    from fleet.job_queueing import SLURM
    from fleet.session import open_session
    from fleet.submit import submit
    from scripts.run_output import follow_to_end

    session = open_session(job.environment, cloud, act="run.submit")
    assert session.caller  # the first look at the cloud: it answers, or a UserError says what to do
    outputs = read_outputs(session)
    submitted = submit(session, outputs, job, on_wait=note)
    for each in submitted.warnings:
        warn(each)
    confirmed = submitted.queued or submitted.request.queueing.scheduler != SLURM
    if not confirmed:
        warn(
            "no head node has confirmed that the run is queued: see `fleetform queue` before you count on it"
        )
    if not follow:
        if as_json:
            emit_json({"run_id": submitted.run_id, "head": submitted.head, "tasks": submitted.tasks})
        else:
            say(submitted.run_id)
            note(f"follow it: fleetform logs {job.environment} {submitted.run_id} -f")
        return 0 if confirmed else 1
    note(f"run {submitted.run_id}")
    return follow_to_end(session, submitted.run_id, as_json=as_json)
