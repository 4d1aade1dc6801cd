"""What can be wrong with the size, the program and the fleet of a job, before anything is contacted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from fleet.job_queueing import SLURM, Site
from stacks.outputs import FleetOutputs
from stacks.problems import Problem, nearest
from trainer.config import recipe_names

if TYPE_CHECKING:
    from fleet.job import JobSpec


def size_problems(job: JobSpec, longest_minutes: int) -> Iterator[Problem]:
    """Yield what is wrong with how large and how long the job is to be."""
    if job.nodes < 1:
        yield Problem(what=f"{job.nodes} nodes can't run anything", do="ask for 1 or more", path="--nodes")
    if job.procs_per_node is not None and job.procs_per_node < 1:
        yield Problem(
            what=f"{job.procs_per_node} processes on a node can't run anything",
            do="ask for 1 or more, or leave it out for one on each GPU",
            path="--procs-per-node",
        )
    if not 1 <= job.max_minutes <= longest_minutes:
        yield Problem(
            what=f"a limit of {job.max_minutes} minutes is not possible",
            do=f"choose 1 to {longest_minutes}",
            path="--max-minutes",
        )


def program_problems(job: JobSpec) -> Iterator[Problem]:
    """Yield what is wrong with what the job is to run."""
    if (job.recipe is None) == (job.script is None):
        yield Problem(
            what="neither a recipe nor a script is named" if job.recipe is None else "a recipe and a script",
            do="name one of them: `--recipe NAME` or `-- my_script.py ARGUMENTS`",
            path="--recipe",
        )
    if job.recipe is not None and job.recipe not in recipe_names():
        near = nearest(job.recipe, recipe_names())
        yield Problem(
            what=f"there is no recipe {job.recipe!r}",
            do=f"did you mean {near!r}?" if near else f"choose one of {', '.join(recipe_names())}",
            path="--recipe",
        )
    if job.script is not None and not job.script.is_file():
        is_folder = job.script.is_dir()
        yield Problem(
            what=f"the script {job.script} " + ("is a folder" if is_folder else "does not exist"),
            do="name a Python file that torchrun can start",
            path="SCRIPT",
        )


def choose_fleet(
    job: JobSpec, fleets: Mapping[str, FleetOutputs], site: Site, problems: list[Problem]
) -> tuple[str, FleetOutputs | None]:
    """Return the fleet's name and outputs; what is wrong with the choice is added to `problems`."""
    names = ", ".join(sorted(fleets))
    name = job.fleet or (next(iter(fleets)) if len(fleets) == 1 else None)
    if name is None:
        what = "has no fleet" if not fleets else f"has {len(fleets)} fleets"
        do = "declare one in its file" if not fleets else f"name one of them: {names}"
        problems.append(Problem(what=f"the environment {job.environment} {what}", do=do, path="--fleet"))
        return "", None
    if name not in fleets:
        near = nearest(name, fleets)
        problems.append(
            Problem(
                what=f"the environment {job.environment} has no fleet {name!r}",
                do=f"did you mean {near!r}?" if near else f"choose one of {names}",
                path="--fleet",
            )
        )
        return name, None
    fleet = fleets[name]
    if job.nodes > most_nodes(fleet, site.scheduler):
        problems.append(_too_large(job, name, fleet, site))
    return name, fleet


def most_nodes(fleet: FleetOutputs, scheduler: str) -> int:
    """Return the most nodes that a run can get there: under Slurm a fleet grows with its queue."""
    return max(fleet.nodes, fleet.max_nodes) if scheduler == SLURM else fleet.nodes


def _too_large(job: JobSpec, name: str, fleet: FleetOutputs, site: Site) -> Problem:
    most = most_nodes(fleet, site.scheduler)
    if site.scheduler == SLURM:
        has, do = f"can have {most}", "raise `max_nodes`"
    else:
        grow = f" (up to {fleet.max_nodes})" if fleet.max_nodes > fleet.nodes else ""
        has, do = f"has {most}", f"raise `nodes`{grow}"
    return Problem(
        what=f"{job.nodes} nodes are asked for, and the fleet {name} {has}",
        do=f"ask for at most {most}, or {do} in the environment's file and run"
        f" `fleetform up {job.environment}`",
        path="--nodes",
    )
