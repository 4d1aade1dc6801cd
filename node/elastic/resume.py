"""Slurm's resume program: starts machines for the nodes of a host list, which is its one argument.

slurmctld does not wait for it. What it cannot start is powered down again, and the jobs that waited for it
are held back for a pause that grows with every failure.
"""

from __future__ import annotations

import functools
import math
import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from node.aws import aws_errors, client, error_code
from node.elastic.backoff import Backoff, Held
from node.elastic.capacity import Refusal
from node.elastic.head import Head, open_head, told_of, unblock_signals
from node.elastic.journal import Attempt, Journal, TakenError
from node.elastic.launch import Outcome, bring
from node.elastic.machines import FleetMachine
from node.elastic.names import elastic_only, fleet_of
from node.elastic.wants import Want, read_resume_file, sort_wants
from node.slurm.tools import SlurmError, expand, jobs, run, update_node
from node.wake import wake

_AT_ONCE = 8
"""Wants that are served side by side; EC2 limits how fast fleets may be made."""
_PATIENCE_S = 20.0
_PAUSE_S = 0.5

Result = TypeVar("Result")


def main(arguments: Sequence[str] | None = None) -> int:
    """Start machines for the host list that is the only argument."""
    unblock_signals()
    names = expand((sys.argv[1:] if arguments is None else list(arguments))[0])
    # Slurm's file goes with slurmctld: it is read before anything that takes its time.
    told = read_resume_file(Path(os.environ.get("SLURM_RESUME_FILE") or os.devnull))
    head = open_head()
    wanted = elastic_only(head.facts, names)
    head.log(f"resume {','.join(names)}: {len(wanted)} of {len(names)} are started for jobs")
    _wake(head, sorted({*names} - {*wanted}))
    if not wanted:
        return 0
    wants = sort_wants(wanted, told or _waiting_jobs())
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return 0 if all(list(pool.map(lambda want: serve(head, want), wants))) else 1


def _wake(head: Head, standing: Sequence[str]) -> None:
    """Have the groups of nodes that stand for good start them again, where idle ones were given up."""
    if not head.facts.marks_nodes:
        return
    for fleet in sorted({fleet_of(name) for name in standing} & {*head.facts.fleets}):
        told = head.facts.fleets[fleet]
        try:
            count = wake(client("autoscaling", head.facts.region), told.group, told.nodes)
        except aws_errors() as error:
            head.log(f"{fleet} could not be woken: {error}")
            continue
        head.log(f"{fleet}: its group is to have {count} nodes again" if count else f"{fleet} starts already")


def _waiting_jobs() -> dict[int, list[str]]:
    """Return the nodes of each job that waits for machines, where slurmctld did not tell."""
    return {job.job_id: expand(job.node_names) for job in jobs("CONFIGURING")}


def serve(head: Head, want: Want) -> bool:
    """Start the machines of a want, or hold its jobs back; return whether nothing went wrong with us."""
    try:
        with Journal(head.state).begin(want) as attempt:
            _serve(head, attempt)
    except TakenError:
        head.log(f"{','.join(want.names)}: already at work")
    except _failures() as error:
        head.log(f"{','.join(want.names)}: {type(error).__name__}: {error}")
        return False
    return True


def _failures() -> tuple[type[Exception], ...]:
    return (*aws_errors(), SlurmError, OSError)


def _serve(head: Head, attempt: Attempt) -> None:
    want, backoff = attempt.want, Backoff(head.state)
    runs = _run_ids(want.jobs)
    closed = backoff.closed(want.fleet, len(want.names) if want.together else 1)
    if closed:
        backoff.hold(closed, list(runs.values()))
        _hold_back(head, want, want.names, closed)
        return
    try:
        outcome = bring(head, attempt, lambda placed: tell_addresses(head, placed))
    except aws_errors() as error:  # what it started is ended: not to be started again every few seconds
        refusal = Refusal("ec2", error_code(error) or type(error).__name__, str(error))
        outcome = Outcome(lacking=want.names, refusals=(refusal,))
    if outcome.placed:
        served = [runs[job] for job in want.jobs if job in runs and job not in want.jobs_of(outcome.lacking)]
        backoff.served(want.fleet, len(outcome.placed), served)
    if outcome.lacking:
        _refuse(head, want, outcome, [runs[job] for job in want.jobs_of(outcome.lacking) if job in runs])


def _refuse(head: Head, want: Want, outcome: Outcome, runs: Sequence[str]) -> None:
    count = len(outcome.lacking) if want.together else 1
    instance_type = head.facts.fleets[want.fleet].instance_type
    held = Backoff(head.state).refuse(want.fleet, count, instance_type, outcome.refusals, runs)
    _hold_back(head, want, outcome.lacking, held)


def _run_ids(job_ids: Iterable[int]) -> dict[int, str]:
    """Return the names of the jobs, which are the ids of their runs."""
    wanted = set(job_ids)
    return {job.job_id: job.name for job in patiently(lambda: jobs("CONFIGURING")) if job.job_id in wanted}


def tell_addresses(head: Head, placed: Mapping[str, FleetMachine]) -> None:
    """Tell Slurm where the nodes are; the nodes' names are no names that a resolver knows."""
    addresses = ",".join(each.address for each in placed.values())
    try:
        patiently(lambda: update_node(",".join(placed), NodeAddr=addresses))
    except SlurmError as error:
        if not error.passing:
            raise
        head.log(f"{','.join(placed)}: the keeper has to tell the addresses: {error}")


def _hold_back(head: Head, want: Want, names: Sequence[str], held: Held) -> None:
    """Take the jobs off nodes that have no machine, and start them no sooner than the hold ends."""
    head.log(f"{','.join(names)}: {held.message}")
    # It requeues the jobs, whatever else they wait for, and the nodes can be asked for again a little later.
    patiently(lambda: update_node(",".join(names), State="POWER_DOWN_FORCE", Reason=held.message))
    wait = max(1, math.ceil(held.until - time.time()))
    for job in want.jobs_of(names):
        try:
            changes = ["update", f"JobId={job}", f"StartTime=now+{wait}"]
            patiently(functools.partial(run, "scontrol", changes))
        except SlurmError as error:  # cancelled meanwhile
            head.log(f"job {job} could not be held back: {error}")


def patiently(act: Callable[[], Result]) -> Result:
    """Return what `act` returns, done again for a while where slurmctld is busy or being restarted."""
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        try:
            return act()
        except SlurmError as error:
            if not error.passing or time.monotonic() > deadline:
                raise
        time.sleep(_PAUSE_S)


if __name__ == "__main__":
    sys.exit(told_of(main))
