"""A checked request as arguments of sbatch: a list, in which nothing is a shell's."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence

from node.cluster.facts import ClusterFacts
from node.cluster.machine import Machine
from node.slurm import tools
from node.slurm.batch import Terms
from node.slurm.request import Request

_NICE = {"low": 1000, "normal": 0, "high": -1000}
"""What stands for a priority where no accounting gives it weight."""


def arguments(
    request: Request,
    facts: ClusterFacts,
    machine: Machine,
    *,
    turns_before: int = 0,
    dependency: str = "",
    tasks: Sequence[int] = (),
    held: bool = False,
    now: float | None = None,
) -> list[str]:
    """Return what sbatch is called with; `tasks` are the numbers of an array's that are to be submitted."""
    found = _fixed(request)
    found += [f"--cpus-per-task={request.cpus}"] if request.cpus else ["--exclusive"]
    found += [f"--gres=gpu:{request.gpus}"] if request.gpus else []
    found += [f"--qos={request.priority}"] if facts.accounting else [f"--nice={_NICE[request.priority]}"]
    # Emulated machines have one user between them. Without its group the job would get the clerk's: root.
    found += [] if machine.emulated else [f"--uid={request.user}", f"--gid={request.user}"]
    found += ["--hold"] if held else []
    if request.begin is not None and request.begin > (time.time() if now is None else now):
        found.append(time.strftime("--begin=%Y-%m-%dT%H:%M:%S", time.localtime(request.begin)))
    found += [f"--dependency={dependency}"] if dependency else []
    if tasks:
        at_once = request.array.at_once if request.array else 0
        found.append(f"--array={_ranges(tasks)}{f'%{at_once}' if at_once else ''}")
    terms = Terms(
        attempt=request.attempt,
        turns_before=turns_before,
        crashes=request.requeues,
        limit_seconds=request.limit_minutes * 60,
        image=request.image,
    )
    return [*found, machine.program("job"), *terms.arguments()]


def _fixed(request: Request) -> list[str]:
    """Return what every submission of a run says."""
    return [
        "--parsable",
        f"--job-name={request.run_id}",
        f"--comment={request.run_id}",
        f"--partition={request.fleet}",
        f"--nodes={request.nodes}",
        "--ntasks-per-node=1",
        f"--time={max(1, math.ceil(request.limit_minutes))}",
        f"--account={request.team}",
        "--requeue",
        "--open-mode=append",
        "--output=/dev/null",
        "--chdir=/",
        # Its environment is that of sbatch, which has next to nothing; NONE would start a login shell.
        "--export=ALL",
    ]


def surroundings(request: Request, facts: ClusterFacts, machine: Machine) -> dict[str, str]:
    """Return what a job finds in its environment beside what Slurm puts there: nothing of the clerk's own."""
    language = {"LANG": "C.UTF-8"}
    if machine.emulated:
        return language
    home = f"/var/fleetform/teams/{facts.teams[request.team].uid}"
    return {**language, "HOME": home, "USER": request.user, "LOGNAME": request.user}


def submit(arguments: Sequence[str], variables: Mapping[str, str]) -> int:
    """Run sbatch in that environment and return the job's id. Raises SlurmError."""
    printed = tools.run("sbatch", arguments, variables=variables)
    return int(printed.strip().splitlines()[-1].split(";")[0])


def _ranges(tasks: Sequence[int]) -> str:
    """Return the numbers as sbatch reads them, `0-4,7`."""
    return tools.compress(f"t{task}" for task in tasks).replace("t", "").strip("[]")
