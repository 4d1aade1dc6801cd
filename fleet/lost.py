"""Whether anybody still carries out an active run: its dispatcher on the head node, or the queue."""

from __future__ import annotations

import datetime
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from fleet import aws
from fleet.clock import seconds_since
from fleet.cluster_files import read_queue
from fleet.handover import ENDED_COMMAND, command_answer
from fleet.job_queueing import SLURM
from fleet.run_store import RunStore
from fleet.runs import SUBMITTED, RunStatus, find_run, read_events, read_run, running_machines
from stacks import naming

_Found = TypeVar("_Found")
_UNHEARD_SECONDS = 60
"""A run that was submitted this long ago, of which no head node was told, is lost: its submitter was killed.
Should the head hear of it after all, it finds the final event there and leaves it alone."""
_CLOCKS_DIFFER = datetime.timedelta(minutes=5)
_FORGOTTEN = datetime.timedelta(minutes=10)
"""A queue that is so much younger than a run's last event and does not have it has forgotten it."""


class Look:
    """One look at many runs, from several threads: what they have in common is asked for once."""

    def __init__(self, store: RunStore) -> None:
        self._store = store
        self._known: dict[str, Any] = {}
        self._lock = threading.Lock()

    def queue(self) -> tuple[datetime.datetime, frozenset[str]] | None:
        """Return when the head has last published its queue, and the runs in it; None where it never has."""

        def ask() -> tuple[datetime.datetime, frozenset[str]] | None:
            if (found := read_queue(self._store)) is None:
                return None
            runs = frozenset(str(job["run_id"]) for job in found["jobs"])
            return datetime.datetime.fromisoformat(found["time"]), runs

        return self._once("queue", ask)

    def stands(self, environment: str) -> bool:
        """Return whether the environment is there."""

        def ask() -> bool:
            try:
                self._store.ssm.get_parameter(Name=naming.outputs_parameter(environment))
            except Exception as error:
                if aws.error_code(error) != "ParameterNotFound":
                    raise
                return False
            return True

        return self._once(f"environment {environment}", ask)

    def array(self, run_id: str) -> RunStatus | None:
        """Return the run that an array is, or None where it is not there."""
        return self._once(f"run {run_id}", lambda: find_run(self._store, run_id))

    def _once(self, name: str, ask: Callable[[], _Found]) -> _Found:
        with self._lock:
            if name not in self._known:
                self._known[name] = ask()
            found: _Found = self._known[name]
            return found


def is_lost(store: RunStore, run: RunStatus, look: Look | None = None) -> bool:
    """Return whether nobody carries out the active run: its dispatcher ended, or the head node is gone.

    One that is in Slurm's queue is not lost with its head, which is replaced, but with its environment.
    """
    look = look or Look(store)
    request = store.get_json(run.run_id, "run.json") or {}
    if request.get("scheduler") == SLURM:
        if request.get("array_of") and run.attempt == 1:
            return _lost_with_its_array(store, run, look.array(str(request["array_of"])))
        if run.state != SUBMITTED:
            return _lost_by_the_queue(store, run, str(request["environment"]), look)
    told = store.get_json(run.run_id, "submission.json")
    if told is None or told["command_id"] in request.get("earlier_commands", ()):
        told = _find_command(store, run, request)
    if told is None:
        return seconds_since(run.submitted) > _UNHEARD_SECONDS and read_run(store, run.run_id).active
    return _lost_with_its_command(store, run, told, queued=request.get("scheduler") == SLURM)


def _lost_with_its_command(store: RunStore, run: RunStatus, told: dict[str, str], *, queued: bool) -> bool:
    """Return whether the command that was to carry the run out, or to queue it, has ended without."""
    answer = command_answer(store, told["instance_id"], told["command_id"])
    if answer.status not in ENDED_COMMAND:
        # Systems Manager notices a machine's end late, if at all.
        return not running_machines(store, [told["instance_id"]])
    if queued and answer.status == "Success":
        return False  # the queue has it, and says so in a moment
    return read_run(store, run.run_id).active  # it may have written its last event while we looked


def _lost_with_its_array(store: RunStore, run: RunStatus, array: RunStatus | None) -> bool:
    """Return whether the array that the run is a task of has ended, or is not there."""
    if array is None:
        return seconds_since(run.submitted) > _UNHEARD_SECONDS
    return not array.active and read_run(store, run.run_id).active


def _lost_by_the_queue(store: RunStore, run: RunStatus, environment: str, look: Look) -> bool:
    """Return whether the environment is gone, or stands with a queue that knows nothing of the run."""
    if (queue := look.queue()) is not None and run.run_id not in queue[1]:
        last = datetime.datetime.fromisoformat(read_events(store, run.run_id)[-1]["time"])
        if queue[0] - last > _FORGOTTEN:
            return read_run(store, run.run_id).active
    return not look.stands(environment) and read_run(store, run.run_id).active


def _find_command(store: RunStore, run: RunStatus, request: dict[str, Any]) -> dict[str, str] | None:
    """Return what `submission.json` would say, from Systems Manager's list: its writer was killed."""
    environment, earlier = request.get("environment", ""), request.get("earlier_commands", ())
    submitted = datetime.datetime.fromisoformat(run.submitted) - _CLOCKS_DIFFER
    after = {"key": "InvokedAfter", "value": submitted.strftime("%Y-%m-%dT%H:%M:%SZ")}
    for page in store.ssm.get_paginator("list_commands").paginate(Filters=[after]):
        for command in page["Commands"]:
            # The nodes' commands have the run's id for a comment, too, but another document.
            ours = command["Comment"] == run.run_id and command["InstanceIds"]
            if (
                ours
                and command["CommandId"] not in earlier
                and command["DocumentName"].startswith(naming.run_document(environment))
            ):
                return {"command_id": command["CommandId"], "instance_id": command["InstanceIds"][0]}
    return None
