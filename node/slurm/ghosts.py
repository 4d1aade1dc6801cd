"""Jobs whose end slurmctld has forgotten: it crashed before it had saved it, and takes them for running.

They would hold their nodes until Slurm misses them, BatchStartTimeout after their start, and then be started
once more. Their batch step has said how they ended, and so the clerk ends them. Jobs whose start it has
forgotten it starts again on the same nodes, which refuse; it drains them for that, and the clerk lets them go
once they are free.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Mapping
from typing import Any

from node.events import is_over
from node.layout import BATCH_STATE, epoch_seconds
from node.patience import persist
from node.slurm import tools
from node.slurm.office import Office, troubles
from node.slurm.request import RUN_ID
from node.slurm.teller import OverError
from node.slurm.tools import JobState, NodeState
from node.slurm.words import is_of, told

_WATCHED_S = 90.0
"""How long after a start of slurmctld its jobs are looked at: what ends later, it hears of."""
_PAUSE_S = 5.0
_TOLD_S = 5.0
"""A job that ended so long ago, and slurmctld up for as long, would be known to have ended."""
_ALIVE = frozenset({"RUNNING", "SUSPENDED"})
_DUPLICATE = "Duplicate jobid"
"""slurmctld's reason for a node that carries out a job already which it is told to start (Slurm 22.05)."""


class Ghosts:
    """Finds them after each start of slurmctld."""

    def __init__(self, office: Office) -> None:
        self._office = office
        self._file = office.machine.run / "slurm" / "slurmctld.pid"
        self._looked_at = 0.0

    def are_likely(self) -> bool:
        """Return whether it is time to look: slurmctld has started lately, but not just now."""
        try:
            age = time.time() - self._file.stat().st_mtime
        except OSError:
            return False
        if not _TOLD_S <= age <= _WATCHED_S or time.monotonic() - self._looked_at < _PAUSE_S:
            return False
        self._looked_at = time.monotonic()
        return True

    def lay(self, jobs: Mapping[str, Iterable[JobState]], chosen: Mapping[str, JobState]) -> None:
        """Have Slurm take note of the ends of jobs: `jobs` by the run they name, `chosen` those of runs."""
        for run_id, named in jobs.items():
            for job in named:
                if job.state not in _ALIVE or not RUN_ID.fullmatch(run_id):
                    continue
                try:
                    if chosen.get(run_id) is job:
                        self._end(run_id, job)
                    elif self._office.book.get(run_id) is None and self._has_ended(run_id, job):
                        _take_note(run_id, job, "scancel", job.target)
                except OverError:
                    print(f"{run_id} was ended by somebody else", flush=True)
                except troubles() as error:
                    print(f"{run_id}: {error}", file=sys.stderr, flush=True)

    def _end(self, run_id: str, job: JobState) -> None:
        """End a run that is under way as far as anybody knows, or have it queue again as it asked to."""
        record = self._office.read(run_id, BATCH_STATE) or {}
        if not _is_past(record, job):
            return
        with self._office.book.locked(run_id):
            entry = self._office.book.get(run_id)
            if entry is None:
                return
            if record.get("requeue"):
                _take_note(run_id, job, "scontrol", "requeue", job.target)
            elif verdict := told(record, entry, job):
                _take_note(run_id, job, "scancel", job.target)
                self._office.teller.finish(entry, verdict)

    def _has_ended(self, run_id: str, job: JobState) -> bool:
        """Return whether the job is one of ours, and its run's events say that the run has ended."""
        facts = self._office.facts()
        team = facts.teams.get(job.account or facts.default_team)
        if team is None or not (self._office.machine.emulated or job.user == team.user):
            return False
        record = self._office.read(run_id, BATCH_STATE) or {}
        return _is_past(record, job) and persist(lambda: is_over(self._office.bucket, run_id))


def free(nodes: Iterable[NodeState]) -> None:
    """Let go of nodes that were drained for a job twice, once they have none: nothing is wrong with them."""
    for node in nodes:
        ours = node.reason == _DUPLICATE and "DRAIN" in node.flags
        if ours and node.state == "IDLE" and "COMPLETING" not in node.flags:
            print(f"{node.name} was drained because slurmctld had forgotten a start", flush=True)
            tools.update_node(node.name, State="RESUME")


def _take_note(run_id: str, job: JobState, program: str, *arguments: str) -> None:
    print(f"{run_id}: Slurm has forgotten that its job {job.target} ended", flush=True)
    tools.run(program, arguments)


def _is_past(record: Mapping[str, Any], job: JobState) -> bool:
    """Return whether the batch step has said that this very execution ended, some time ago."""
    if record.get("job_id") != job.job_id or not is_of(record, job.started):
        return False
    try:
        return time.time() - epoch_seconds(str(record.get("ended"))) >= _TOLD_S
    except ValueError:
        return False
