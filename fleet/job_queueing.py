"""What a job says to the queue: team, priority, start, what it waits for, arrays; nothing is contacted."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fleet.job_forms import parse_array, parse_begin
from stacks.outputs import EnvironmentOutputs, FleetOutputs
from stacks.problems import Problem, nearest

if TYPE_CHECKING:
    from fleet.job import JobSpec

SLURM, PLAIN = "slurm", "plain"
ENGINE_VARIABLE = "FLEETFORM_SCHEDULER"
"""A cloud's variable that says which engine its machines run, whatever the environment's file says."""
PRIORITIES = ("low", "normal", "high")
LONGEST_MINUTES = 47 * 60
"""Systems Manager ends a command after 48 hours; an hour is kept for the queue and the last uploads."""
MOST_REQUEUES = 20
REQUEUES = 3
IMAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/:#@+-]{0,254}")


@dataclass(frozen=True, kw_only=True)
class Site:
    """What the environment's queue is like."""

    scheduler: str = PLAIN
    """`slurm`, or `plain`: the head's own dispatcher."""
    teams: tuple[str, ...] = ()
    default_team: str = ""
    containers: bool = False
    """Whether the nodes' image has enroot and pyxis."""
    longest_minutes: int = LONGEST_MINUTES
    """Longest time limit of a run."""


PLAIN_SITE = Site()


@dataclass(frozen=True, kw_only=True)
class Queueing:
    """What `run.json` tells the queue."""

    scheduler: str
    team: str
    priority: str
    begin: str
    """UTC, ISO 8601, before which it does not start; "" for at once."""
    after: tuple[str, ...]
    """Runs that have to succeed before it starts, or with `after_any` to end."""
    after_any: bool
    array: Mapping[str, int] | None
    """`first`, `last`, `at_once` (0 for all) of the tasks' indices."""
    requeues: int
    """How often the run is queued again after a crash of a process."""
    gpus_per_node: int
    gpus_on_node: int
    """What a node has: a run that asks for fewer shares the node."""
    container: str


def engine_of(variables: Mapping[str, str], declared: str) -> str:
    """Return the engine that the cloud's machines run: what the cloud says, else what the file declares."""
    return variables.get(ENGINE_VARIABLE) or declared


def site_of(outputs: EnvironmentOutputs, variables: Mapping[str, str]) -> Site:
    """Return the queue of a standing environment in a cloud with those variables."""
    if engine_of(variables, outputs.scheduler) != SLURM:
        return Site(teams=outputs.teams, default_team=outputs.default_team)
    return Site(
        scheduler=SLURM,
        teams=outputs.teams,
        default_team=outputs.default_team,
        containers=outputs.containers,
        longest_minutes=outputs.longest_minutes or LONGEST_MINUTES,
    )


def queueing_of(job: JobSpec, site: Site, gpus_on_node: int) -> Queueing:
    """Return what the queue is told of a job that has no problem."""
    return Queueing(
        scheduler=site.scheduler,
        team=_team(job, site),
        priority=job.priority,
        begin=parse_begin(job.begin) if job.begin else "",
        after=job.after,
        after_any=job.after_any,
        array=parse_array(job.array) if job.array else None,
        requeues=job.requeues,
        gpus_per_node=job.gpus_per_node or gpus_on_node,
        gpus_on_node=gpus_on_node,
        container=job.container,
    )


def _team(job: JobSpec, site: Site) -> str:
    """Return the team whose the run is; the plain engine knows the further ones alone, and shares nothing."""
    named = job.team if job.team in site.teams else ""
    if site.scheduler == PLAIN:
        return named if named != site.default_team else ""
    return job.team or site.default_team


def queueing_problems(job: JobSpec, site: Site, fleet: FleetOutputs | None) -> Iterator[Problem]:
    """Yield what is wrong with what the job tells the queue; `fleet` is the one it is for, if known."""
    if site.scheduler == PLAIN:
        yield from _unknown_to_plain(job)
    elif job.fsx_gib:
        what = "runs of the queue have no file system of their own"
        do = "leave it out: the environment's own is at /fsx, where its file declares one"
        yield Problem(what=what, do=do, path="--fsx-gib")
    yield from _team_problems(job, site)
    if job.priority not in PRIORITIES:
        near = nearest(job.priority, PRIORITIES)
        do = f"did you mean {near!r}?" if near else f"choose one of {', '.join(PRIORITIES)}"
        yield Problem(what=f"there is no priority {job.priority!r}", do=do, path="--priority")
    if not 0 <= job.requeues <= MOST_REQUEUES:
        what = f"{job.requeues} times can't be queued again"
        yield Problem(what=what, do=f"choose 0 to {MOST_REQUEUES}", path="--requeues")
    if job.after_any and not job.after:
        yield Problem(what="it waits for no run", do="name one with --after RUN", path="--after-any")
    yield from _text_problems(job)
    yield from _gpu_problems(job, fleet)
    yield from _container_problems(job, site)


def _unknown_to_plain(job: JobSpec) -> Iterator[Problem]:
    """Yield what the plain engine can't do and must not leave out."""
    asked = {"--array": job.array, "--after": job.after, "--begin": job.begin, "--container": job.container}
    for option, value in asked.items():
        if value:
            yield Problem(
                what="the environment's runs are carried out by the plain engine, which does not know this",
                do='leave it out, or set kind = "slurm" in [scheduler] of the environment\'s file'
                " (in the embedded cloud: `fleetform sandbox start --scheduler slurm`)",
                path=option,
            )


def ignored_settings(job: JobSpec, site: Site) -> list[str]:
    """Return a sentence for each setting of the job that has no effect on this environment's queue."""
    if site.scheduler != PLAIN:
        return []
    asked = {
        "--team": bool(job.team) and job.team not in site.teams,
        "--priority": job.priority != "normal",
        "--requeues": job.requeues != REQUEUES,
        "--gpus-per-node": job.gpus_per_node is not None,
    }
    return [f"{option} has no effect: the plain engine knows none" for option, said in asked.items() if said]


def _team_problems(job: JobSpec, site: Site) -> Iterator[Problem]:
    if not site.teams or not job.team or job.team in site.teams:
        return
    near, names = nearest(job.team, site.teams), ", ".join(site.teams)
    do = f"did you mean {near!r}?" if near else f"choose one of {names}"
    what = f"the environment {job.environment} has no team {job.team!r}"
    yield Problem(what=what, do=do, path="--team")


def _text_problems(job: JobSpec) -> Iterator[Problem]:
    """Yield what is wrong with the settings that are written in a form of their own."""
    for option, text, parse in (("--begin", job.begin, parse_begin), ("--array", job.array, parse_array)):
        try:
            if text:
                parse(text)
        except ValueError as error:
            what, _, do = str(error).partition(": ")
            yield Problem(what=what, do=do, path=option)


def _gpu_problems(job: JobSpec, fleet: FleetOutputs | None) -> Iterator[Problem]:
    asked = job.gpus_per_node
    if asked is None or fleet is None or 1 <= asked <= fleet.gpus_per_node:
        return
    has = fleet.gpus_per_node
    do = f"choose 1 to {has}, or leave it out for all of them" if has else "leave it out"
    yield Problem(
        what=f"{asked} GPUs of each node are asked for, and {fleet.instance_type} has {has}",
        do=do,
        path="--gpus-per-node",
    )


def _container_problems(job: JobSpec, site: Site) -> Iterator[Problem]:
    if not job.container or site.scheduler == PLAIN:
        return
    if not site.containers:
        yield Problem(
            what=f"the nodes of {job.environment} have no enroot and pyxis, which run images",
            do="leave it out, or build the nodes from an image that has them and say so with "
            "scheduler.containers in the environment's file",
            path="--container",
        )
    if not IMAGE.fullmatch(job.container):
        yield Problem(
            what=f"{job.container!r} is no image",
            do="write it as enroot does: `REGISTRY#NAME:TAG`, or the absolute path of a .sqsh file without /",
            path="--container",
        )
