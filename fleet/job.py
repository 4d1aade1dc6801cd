"""A job, checked and turned into the request that a run starts from: pure, nothing is contacted."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from fleet.job_checks import choose_fleet, program_problems, size_problems
from fleet.job_file_system import file_system_problems
from fleet.job_queueing import (
    PLAIN_SITE,
    REQUEUES,
    SLURM,
    Queueing,
    Site,
    engine_of,
    queueing_of,
    queueing_problems,
)
from fleet.spot_runs import unsaved_script
from stacks import naming
from stacks.catalog import load_catalog, load_other_prices
from stacks.environment import EnvironmentSpec
from stacks.outputs import FleetOutputs
from stacks.problems import Problem, UserError
from templates.engine import render
from templates.job_files import LaunchScript
from trainer.config import ConfigError, load_config, recipe_names


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
    team: str | None = None
    """Whose share it counts to; None means the environment's own team."""
    priority: str = "normal"
    """`low`, `normal` or `high`."""
    begin: str = ""
    """When it may start: a time, or a span from now (`+2h`); "" for at once."""
    after: tuple[str, ...] = ()
    """Runs that it waits for."""
    after_any: bool = False
    """Whether it starts however those runs end; otherwise only where they succeed."""
    array: str = ""
    """`FIRST-LAST` or `FIRST-LAST%AT_ONCE`: one run for each index; "" for a single run."""
    requeues: int = REQUEUES
    """How often it is queued again after a crash of a process, or a stop that nobody asked for."""
    gpus_per_node: int | None = None
    """GPUs that it uses of each node; None means all."""
    packages: Path | None = None
    """A requirements file, every line pinned with hashes, that is installed for the run."""
    container: str = ""
    """Image that it runs in; "" for the node itself."""


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
    packages: Path | None
    """The requirements file to install, on this machine."""
    queueing: Queueing

    def to_dict(self) -> dict[str, Any]:
        """Return the request as `run.json` holds it: flat, and nothing of this machine's folders."""
        values = dataclasses.asdict(self)
        del values["code_root"], values["dataset"], values["packages"]
        queueing = values.pop("queueing")
        return {**values, **queueing}


def build_request(
    job: JobSpec, fleets: Mapping[str, FleetOutputs], run_max_gib: int = 0, site: Site = PLAIN_SITE
) -> LaunchRequest:
    """Return the request of a job on those fleets; raises UserError with every problem at once.

    `run_max_gib` is the largest file system that a run may have for itself, `site` the environment's queue.
    """
    problems = [
        *size_problems(job, site.longest_minutes),
        *program_problems(job),
        *file_system_problems(job.environment, job.fsx_gib, run_max_gib),
    ]
    name, fleet = choose_fleet(job, fleets, site, problems)
    problems += queueing_problems(job, site, fleet)
    dataset = _dataset(job, problems)
    if fleet is not None and fleet.purchase == "spot" and job.script and not job.checkpoints:
        problems += unsaved_script(job.nodes, name)
    if problems or fleet is None:
        raise UserError(problems)
    return _request(job, name, fleet, dataset, site)


def _request(job: JobSpec, name: str, fleet: FleetOutputs, dataset: str, site: Site) -> LaunchRequest:
    """Return the request of a job that has no problem."""
    known = load_catalog().get(fleet.instance_type)
    price = load_other_prices().get("fsx_lustre_scratch")
    queueing = queueing_of(job, site, fleet.gpus_per_node)
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
        procs_per_node=job.procs_per_node or max(1, queueing.gpus_per_node),
        max_minutes=job.max_minutes,
        trial=job.trial,
        threads_as_for=job.threads_as_for,
        fsx_gib=job.fsx_gib,
        fsx_usd_per_gib_hour=price.usd_per_hour() if price else None,
        packages=job.packages,
        queueing=queueing,
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


def declared_site(spec: EnvironmentSpec, variables: Mapping[str, str]) -> Site:
    """Return the queue as it will stand in a cloud with those variables."""
    if not spec.scheduler.is_slurm:
        return PLAIN_SITE
    teams, own = (spec.own_team, *spec.further_teams), spec.own_team
    if engine_of(variables, spec.scheduler.kind) != SLURM:
        return Site(teams=teams, default_team=own)
    return Site(
        scheduler=SLURM,
        teams=teams,
        default_team=own,
        containers=spec.scheduler.containers,
        longest_minutes=spec.scheduler.longest_hours * 60,
    )
