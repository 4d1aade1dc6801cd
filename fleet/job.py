"""A job, checked and turned into the request that a run starts from: pure, nothing is contacted."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from fleet.job_file_system import file_system_problems
from fleet.spot_runs import unsaved_script
from stacks import naming
from stacks.catalog import load_catalog, load_other_prices
from stacks.environment import EnvironmentSpec
from stacks.outputs import FleetOutputs
from stacks.problems import Problem, UserError, nearest
from templates.engine import render
from templates.job_files import LaunchScript
from trainer.config import ConfigError, load_config, recipe_names

LONGEST_MINUTES = 47 * 60
"""Systems Manager ends a command after 48 hours; an hour is kept for the queue and the last uploads."""


class JobSpec(BaseModel):
    """What somebody asks to be run; either a recipe or a script."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    environment: str
    fleet: str | None = None
    """Fleet to run on; None means the environment's only one."""
    recipe: str | None = None
    """Name of a recipe of the trainer."""
    overrides: tuple[str, ...] = ()
    """`key=value` settings of the recipe."""
    script: Path | None = None
    """Any Python script that torchrun can start; the files beside it travel with it."""
    arguments: tuple[str, ...] = ()
    nodes: int = 1
    checkpoints: bool = False
    """Whether the script writes checkpoints and goes on from them; recipes always do."""
    procs_per_node: int | None = None
    """Processes on each node; None means one for each of its GPUs, or one where it has none."""
    max_minutes: int = 24 * 60
    """The run is stopped when it has trained for this long, minutes."""
    trial: bool = False
    """Whether it is one of several that are measured together (fleet/speedup.py)."""
    threads_as_for: int = 0
    """Each process gets the threads that it had with so many on a node; 0 for as many as there are."""
    fsx_gib: int = 0
    """Size of a fast file system (FSx for Lustre) for the length of the run, GiB; 0 for none."""


@dataclass(frozen=True, kw_only=True)
class LaunchRequest:
    """A checked job: all that `launch.sh` is made of, and what the head node must know."""

    environment: str
    fleet: str
    instance_type: str
    price_usd_per_hour: float | None
    """List price of one node; None where the catalog does not know it."""
    spot: bool
    """Whether EC2 may end its nodes at two minutes' notice."""
    recipe: str
    """"" where a script runs."""
    overrides: tuple[str, ...]
    dataset: str
    """Name of the recipe's dataset, or of the folder that its own data is prepared in; "" for a script."""
    script: str
    """The script's name in its folder; "" where a recipe runs."""
    arguments: tuple[str, ...]
    code_root: Path | None
    """The folder that travels with the script, on this machine."""
    nodes: int
    procs_per_node: int
    max_minutes: int
    trial: bool
    threads_as_for: int = 0
    fsx_gib: int
    fsx_usd_per_gib_hour: float | None
    """List price of its file system; None where the catalog does not know it."""

    def to_dict(self) -> dict[str, Any]:
        """Return the request as `run.json` holds it: nothing of this machine's folders."""
        values = dataclasses.asdict(self)
        del values["code_root"], values["dataset"]
        return values


def build_request(job: JobSpec, fleets: Mapping[str, FleetOutputs], run_max_gib: int = 0) -> LaunchRequest:
    """Return the request of a job on those fleets; raises UserError with every problem at once.

    `run_max_gib` is the largest file system that a run may have for itself.
    """
    problems = [
        *_size_problems(job),
        *program_problems(job),
        *file_system_problems(job.environment, job.fsx_gib, run_max_gib),
    ]
    name, fleet = _choose_fleet(job, fleets, problems)
    dataset = _dataset(job, problems)
    if fleet is not None and fleet.purchase == "spot" and job.script and not job.checkpoints:
        problems += unsaved_script(job.nodes, name)
    if problems or fleet is None:
        raise UserError(problems)
    known = load_catalog().get(fleet.instance_type)
    price = load_other_prices().get("fsx_lustre_scratch")
    return LaunchRequest(
        environment=job.environment,
        fleet=name,
        instance_type=fleet.instance_type,
        price_usd_per_hour=known.price_usd_per_hour if known else None,
        spot=fleet.purchase == "spot",
        recipe=job.recipe or "",
        overrides=job.overrides,
        dataset=dataset,
        script=job.script.name if job.script else "",
        arguments=job.arguments,
        code_root=job.script.resolve().parent if job.script else None,
        nodes=job.nodes,
        procs_per_node=job.procs_per_node or max(1, fleet.gpus_per_node),
        max_minutes=job.max_minutes,
        trial=job.trial,
        threads_as_for=job.threads_as_for,
        fsx_gib=job.fsx_gib,
        fsx_usd_per_gib_hour=price.usd_per_hour() if price else None,
    )


def _dataset(job: JobSpec, problems: list[Problem]) -> str:
    """Return the dataset of the job's recipe, "" without one; what is wrong is added to `problems`."""
    if job.recipe not in recipe_names():
        return ""
    try:
        return load_config(str(job.recipe), job.overrides).data_name
    except ConfigError as error:
        do = f"see `python -m trainer {job.recipe} --print-config`"
        problems += [Problem(what=what, do=do, path="key=value") for what in error.problems]
        return ""


def render_launch_script(request: LaunchRequest) -> str:
    """Return `launch.sh`, to the letter as it runs on every node."""
    return render(
        LaunchScript(
            nodes=request.nodes,
            procs_per_node=request.procs_per_node,
            recipe=request.recipe,
            overrides=request.overrides,
            script=request.script,
            arguments=request.arguments,
        )
    )


def _size_problems(job: JobSpec) -> Iterator[Problem]:
    if job.nodes < 1:
        yield Problem(what=f"{job.nodes} nodes can't run anything", do="ask for 1 or more", path="--nodes")
    if job.procs_per_node is not None and job.procs_per_node < 1:
        yield Problem(
            what=f"{job.procs_per_node} processes on a node can't run anything",
            do="ask for 1 or more, or leave it out for one on each GPU",
            path="--procs-per-node",
        )
    if not 1 <= job.max_minutes <= LONGEST_MINUTES:
        yield Problem(
            what=f"a limit of {job.max_minutes} minutes is not possible",
            do=f"choose 1 to {LONGEST_MINUTES}",
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


def _choose_fleet(
    job: JobSpec, fleets: Mapping[str, FleetOutputs], problems: list[Problem]
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
    if job.nodes > fleet.nodes:
        grow = f" (up to {fleet.max_nodes})" if fleet.max_nodes > fleet.nodes else ""
        problems.append(
            Problem(
                what=f"{job.nodes} nodes are asked for, and the fleet {name} has {fleet.nodes}",
                do=f"ask for at most {fleet.nodes}, or raise `nodes` in the environment's file{grow} and run"
                f" `fleetform up {job.environment}`",
                path="--nodes",
            )
        )
    return name, fleet


def declared_fleets(spec: EnvironmentSpec) -> dict[str, FleetOutputs]:
    """Return the fleets as they will stand once the environment is up, for a job that is only looked at."""
    catalog = load_catalog()
    return {
        name: FleetOutputs(
            group=naming.fleet_group(spec.name, name),
            nodes=fleet.nodes,
            max_nodes=fleet.max_nodes,
            instance_type=fleet.instance_type,
            gpus_per_node=catalog[fleet.instance_type].gpus if fleet.instance_type in catalog else 0,
            purchase=fleet.purchase,
        )
        for name, fleet in spec.fleets.items()
    }
