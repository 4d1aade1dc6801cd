"""What Slurm wants started: nodes by the jobs that wait for them, all nodes of a job or none."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from node.elastic.names import fleet_of
from node.slurm.hostlist import expand


@dataclass(frozen=True)
class Want:
    """Nodes of one fleet that are to be started."""

    fleet: str
    names: tuple[str, ...]
    jobs: Mapping[int, tuple[str, ...]]
    """The jobs that wait for them, by Slurm's ids, each with those of the names that it needs."""
    together: bool
    """Whether the nodes are of use only all of them."""

    def jobs_of(self, names: Iterable[str]) -> tuple[int, ...]:
        """Return the jobs that need one of these nodes."""
        lost = set(names)
        return tuple(job for job, needed in self.jobs.items() if lost & set(needed))


def read_resume_file(file: Path) -> dict[int, list[str]]:
    """Return which job waits for which nodes, as slurmctld tells it since 22.05; empty where it does not.

    22.05 calls the nodes that are to be started `nodes`, later versions `nodes_resume`.
    """
    try:
        told = json.loads(file.read_text())
        return {
            int(job["job_id"]): expand(str(job.get("nodes_resume", job.get("nodes", ""))))
            for job in told.get("jobs", [])
        }
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def sort_wants(names: Sequence[str], jobs: Mapping[int, Sequence[str]]) -> list[Want]:
    """Return what is to be started, given the nodes that each waiting job needs.

    Jobs that share a node are one want. Nodes of jobs on one node each, and nodes that no job waits for, are
    of use one by one: they make one want a fleet, which is one call of EC2.
    """
    wanted = set(names)
    needed = {job: tuple(name for name in each if name in wanted) for job, each in jobs.items()}
    groups: list[dict[int, tuple[str, ...]]] = []
    for job, nodes in needed.items():
        if not nodes:
            continue
        joined = {job: nodes}
        apart = []
        for group in groups:
            if {name for each in group.values() for name in each} & set(nodes):
                joined = {**group, **joined}
            else:
                apart.append(group)
        groups = [*apart, joined]
    return [*_gangs(groups), *_singles(names, groups)]


def _names(group: Mapping[int, Sequence[str]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for each in group.values() for name in each))


def _gangs(groups: Iterable[Mapping[int, tuple[str, ...]]]) -> list[Want]:
    return [
        Want(fleet_of(names[0]), names, dict(group), together=True)
        for group in groups
        if len(names := _names(group)) > 1
    ]


def _singles(names: Sequence[str], groups: Iterable[Mapping[int, tuple[str, ...]]]) -> list[Want]:
    taken = {name for group in groups if len(_names(group)) > 1 for name in _names(group)}
    jobs = {job: nodes for group in groups if len(_names(group)) == 1 for job, nodes in group.items()}
    fleets: dict[str, list[str]] = {}
    for name in names:
        if name not in taken:
            fleets.setdefault(fleet_of(name), []).append(name)
    return [
        Want(
            fleet,
            tuple(alone),
            {job: nodes for job, nodes in jobs.items() if set(nodes) <= set(alone)},
            together=False,
        )
        for fleet, alone in fleets.items()
    ]
