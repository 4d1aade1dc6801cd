"""What users order of runs that are under way, held against Slurm until it is done: cancel, hold, requeue."""

from __future__ import annotations

import time

from node.alive import SILENCE_SECONDS
from node.layout import alive_name, epoch_seconds
from node.slurm import tools
from node.slurm.book import Entry
from node.slurm.office import Office
from node.slurm.tools import JobState
from node.watch import GRACE_SECONDS, UPLOAD_SECONDS

_WAITING = frozenset({"PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "SPECIAL_EXIT"})
_ACTIVE = frozenset({"RUNNING", "SUSPENDED"})
_AGAIN_SECONDS = 5.0
_STOP = "stop.json"


class NotPossibleError(Exception):
    """The order makes no sense for the run as it stands; one line."""


class Orders:
    """Orders, each noted in the book before anything is done about it."""

    def __init__(self, office: Office) -> None:
        self._office = office
        self._pressed: dict[str, float] = {}

    def cancel(self, entry: Entry, by: str) -> None:
        """Have it end: before it has begun at once, else with time for a checkpoint."""
        for each in [entry, *self._tasks(entry)]:
            if not each.cancelled_by:
                each.cancelled_by, each.cancelled_at = by, time.time()
            self._office.book.save(each, durable=True)

    def hold(self, entry: Entry) -> None:
        """Keep it from starting. Raises NotPossibleError for one that has."""
        self._only_waiting(entry, "held")
        self._mark_held(entry, held=True)
        if entry.job_id:
            tools.run("scontrol", ["hold", entry.target])

    def release(self, entry: Entry) -> None:
        """Let it start again."""
        self._mark_held(entry, held=False)
        if entry.job_id:
            tools.run("scontrol", ["release", entry.target])

    def _mark_held(self, entry: Entry, *, held: bool) -> None:
        for each in [entry, *self._tasks(entry)]:
            each.held = held
            self._office.book.save(each, durable=True)

    def requeue(self, entry: Entry) -> None:
        """Have it save, give up its nodes and queue again. Raises NotPossibleError for one that waits."""
        tasks = [each for each in [entry, *self._tasks(entry)] if each.placed and each.said == "RUNNING"]
        if not tasks:
            raise NotPossibleError(f"{entry.run_id} is not running: it is in the queue")
        for each in tasks:
            each.requeue_asked = time.time()
            self._office.book.save(each, durable=True)

    def _tasks(self, entry: Entry) -> list[Entry]:
        return self._office.book.tasks_of(entry.run_id) if entry.tasks is not None else []

    def _only_waiting(self, entry: Entry, what: str) -> None:
        if entry.tasks is None and entry.placed:
            raise NotPossibleError(f"{entry.run_id} is {entry.said}: only a run that waits can be {what}")

    def enforce(self, entry: Entry, job: JobState) -> None:
        """Do what was ordered and is not done yet."""
        if entry.cancelled_by:
            if job.state in _WAITING:
                self._press(entry, "scancel", [entry.target])
            elif job.state in _ACTIVE:
                self._stop(entry, f"cancelled by {entry.cancelled_by}", "cancel", entry.cancelled_at)
        elif entry.requeue_asked is not None and job.state in _ACTIVE:
            self._stop(entry, "it was asked to queue again", "requeue", entry.requeue_asked)

    def _stop(self, entry: Entry, reason: str, kind: str, since: float | None) -> None:
        """Ask the runners to stop the job; one that gives no sign of life is ended by Slurm."""
        if not entry.stop_written:
            body = {"reason": reason, "kind": kind, "grace_seconds": GRACE_SECONDS}
            self._office.write(entry.run_id, _STOP, body)
            entry.stop_written = True
            self._office.book.save(entry)
            return
        waited = time.time() - (since or 0)
        if waited < GRACE_SECONDS + SILENCE_SECONDS or (
            waited < UPLOAD_SECONDS and not self._is_silent(entry)
        ):
            return
        if kind == "cancel":
            self._press(entry, "scancel", [entry.target])
        else:
            self._press(entry, "scontrol", ["requeue", entry.target])

    def _press(self, entry: Entry, program: str, arguments: list[str]) -> None:
        now = time.monotonic()
        if now - self._pressed.get(entry.run_id, float("-inf")) >= _AGAIN_SECONDS:
            self._pressed[entry.run_id] = now
            tools.run(program, arguments)

    def _is_silent(self, entry: Entry) -> bool:
        """Return whether no runner has given a sign of life for long."""
        told = (self._office.read(entry.run_id, alive_name(each["rank"])) for each in entry.placed)
        beats = [epoch_seconds(str(each["time"])) for each in told if each]
        return time.time() - max(beats, default=0.0) > SILENCE_SECONDS
