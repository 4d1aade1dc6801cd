"""From the notice to the end of a machine: no new jobs, those here stop and save, then the node is down.

Jobs of `fleetform run` see the notice themselves (trainer/launch/spot.py) and stop on all of their machines
with the longest grace that there is. What has not stopped by TOLD_SECONDS before the end is told by a signal.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from node.agent.spot import Notice
from node.health.here import drain
from node.health.reasons import SPOT, reason
from node.slurm.tools import SlurmError, run, update_node

TOLD_SECONDS = 45.0
"""Before the end, when a job that goes on as if nothing were gets SIGTERM; its runner gives it 30 s."""
DOWN_SECONDS = 10.0
"""Before the end, when the node is down whatever runs on it: Slurm gives its jobs other nodes at once."""
_STATES = "RUNNING,CONFIGURING,COMPLETING,SUSPENDED,SIGNALING,STOPPED"


class Interruption:
    """One notice, followed to the machine's end."""

    def __init__(self, name: str, notice: Notice) -> None:
        """`name` is the node's in Slurm."""
        self._name, self._notice = name, notice
        self._drained = False
        self._told: set[str] = set()
        self.over = False
        """Whether the node is down."""

    def tick(self, now: float) -> None:
        """Do what is due at `now`, seconds since the epoch; what Slurm refuses is tried at the next tick."""
        if self.over:
            return
        left = self._notice.at - now
        if not self._drained:
            self._drained = drain(self._name, SPOT, str(self._notice))
        try:
            jobs = self._jobs()
            if left < DOWN_SECONDS or (self._drained and not jobs):
                update_node(self._name, State="DOWN", Reason=reason(SPOT, str(self._notice)))
                self.over = True
            elif left < TOLD_SECONDS:
                self._tell([job for job in jobs if job not in self._told])
        except SlurmError as error:
            print(f"{self._name}: {error}", file=sys.stderr)

    def _jobs(self) -> list[str]:
        """Return the ids of the jobs that have this node."""
        arguments = ["--noheader", f"--nodelist={self._name}", f"--states={_STATES}", "--format=%A"]
        return run("squeue", arguments).split()

    def _tell(self, jobs: Sequence[str]) -> None:
        """Send SIGTERM to the runners of these jobs, on all of their nodes; the batch script stays.

        Not to a step by name: scancel itself would look for the nodes then, by names that no DNS knows.
        """
        for job in jobs:
            run("scancel", ["--signal=TERM", job])
            self._told.add(job)
