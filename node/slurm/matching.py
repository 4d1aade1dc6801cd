"""Which of Slurm's jobs belongs to which run, and what an array's tasks come to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from node.cluster.facts import TeamFacts
from node.layout import CANCELLED, FAILED, SUCCEEDED, epoch_seconds
from node.slurm.book import Entry
from node.slurm.intake import task_id
from node.slurm.mirror import ENDED
from node.slurm.tools import JobState
from node.watch import Verdict

_CLOCK = 5.0
"""Seconds by which Slurm's times, which are whole seconds, may lie before ours."""


def by_run(jobs: Iterable[JobState]) -> dict[str, list[JobState]]:
    """Return the jobs of each run, by its id."""
    found: dict[str, list[JobState]] = {}
    for job in jobs:
        run_id = job.name if job.array_index is None else task_id(job.name, job.array_index)
        found.setdefault(run_id, []).append(job)
    return found


def of_team(
    jobs: Iterable[JobState], team: str, teams: Mapping[str, TeamFacts], *, by_user: bool
) -> list[JobState]:
    """Return those of the jobs that are the team's: whoever may call sbatch may give a job any run's name.

    `by_user`: each team has a user of the operating system. Without accounting a job may have no account.
    """
    known = teams.get(team)
    return [
        job
        for job in jobs
        if job.account in ("", team) and (not by_user or known is None or job.user == known.user)
    ]


def choose(entry: Entry, jobs: Iterable[JobState]) -> JobState | None:
    """Return the run's job: one that lives before one that is over, one with nodes before one that waits.

    A job that is over counts only under the number that the run's has, and where it is no older than the run:
    Slurm that lost its state gives numbers again.
    """
    accepted = epoch_seconds(entry.accepted) - _CLOCK
    mine = [
        job
        for job in jobs
        if job.state not in ENDED
        or (job.array_job_id == entry.job_id and (job.submitted is None or job.submitted >= accepted))
    ]
    return min(
        mine,
        key=lambda job: (
            job.state in ENDED,
            job.state == "PENDING",
            job.array_job_id != entry.job_id,
            job.job_id,
        ),
        default=None,
    )


def array_verdict(array: Entry) -> Verdict:
    """Return how an array ended whose tasks are all over."""
    if array.never and not array.cancelled_by:
        return Verdict(FAILED, array.never)
    bad = sorted((int(index) for index, end in array.task_ends.items() if end != SUCCEEDED))
    if not bad:
        return Verdict(SUCCEEDED)
    if array.cancelled_by:
        return Verdict(CANCELLED, f"cancelled by {array.cancelled_by}")
    names = ", ".join(f"a{index}" for index in bad[:10]) + (", ..." if len(bad) > 10 else "")
    return Verdict(FAILED, f"{len(bad)} of {len(array.task_ends)} tasks failed: {names}")


def starts(tasks: Iterable[Entry]) -> list[str]:
    """Return when those of the tasks that have started did, UTC."""
    return [task.times["started"] for task in tasks if "started" in task.times]
