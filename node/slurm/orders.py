"""What users order of runs that are under way, held against Slurm until it is done: cancel, hold, requeue."""

from __future__ import annotations

import contextlib
import time

from node.alive import SILENCE_SECONDS
from node.layout import alive_name, epoch_seconds
from node.slurm import tools
from node.slurm.book import Entry
from node.slurm.office import Office
from node.slurm.tools import JobState, SlurmError
from node.watch import GRACE_SECONDS, UPLOAD_SECONDS

_WAITING = frozenset({"PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "SPECIAL_EXIT"})
_ACTIVE = frozenset({"RUNNING", "SUSPENDED"})
_AGAIN_SECONDS = 5.0
_STOP = "stop.json"
_MOST_STARTS, _START_SECONDS, _LONGEST_START = 6, 10.0, 300.0
"""How often a job whose start failed is released, and the pause after the first time, doubled each time."""


class NotPossibleError(Exception):
    """The order makes no sense for the run as it stands; one line."""


class Orders:
    """Orders, each noted in the book before anything is done about it."""

    def __init__(self, office: Office) -> None:
        self._office = office
        self._pressed: dict[str, float] = {}
        self._starts: dict[str, tuple[int, float]] = {}
        """How often each job whose start had failed was released, and when it may be again."""

    def cancel(self, entry: Entry, by: str) -> None:
        """Have it end: before it has begun at once, else with time for a checkpoint."""
        for each in [entry, *self._tasks(entry)]:
            if not each.cancelled_by:
                each.cancelled_by, each.cancelled_at = by, time.time()
            self._office.book.save(each, durable=True)

    def hold(self, entry: Entry) -> None:
        """Keep it from starting. Raises NotPossibleError for one that has."""
        if entry.tasks is None and entry.placed:
            raise NotPossibleError(f"{entry.run_id} is {entry.said}: only a run that waits can be held")
        self._mark_held(entry, held=True)

    def release(self, entry: Entry) -> None:
        """Let it start again."""
        self._mark_held(entry, held=False)

    def _mark_held(self, entry: Entry, *, held: bool) -> None:
        """Note it, and tell Slurm; what Slurm does not do now, `enforce` does, task by task of an array."""
        before = entry.held
        for each in [entry, *self._tasks(entry)]:
            if each.placed and held:
                continue
            each.held, each.hold_due = held, each.tasks is None
            self._office.book.save(each, durable=True)
        if not entry.job_id:
            return
        try:
            tools.run("scontrol", ["hold" if held else "release", entry.target])
        except SlurmError as error:
            if error.passing or entry.tasks is not None:
                return
            entry.held, entry.hold_due = before, False
            self._office.book.save(entry, durable=True)
            raise

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

    def enforce(self, entry: Entry, job: JobState) -> None:
        """Do what was ordered and is not done yet."""
        if entry.hold_due and not entry.cancelled_by:
            self._keep_held(entry, job)
        if entry.cancelled_by:
            if job.state in _WAITING:
                self._press(entry, "scancel", [entry.target])
            elif job.state in _ACTIVE:
                self._stop(entry, f"cancelled by {entry.cancelled_by}", "cancel", entry.cancelled_at)
        elif entry.idle_stop and job.state in _ACTIVE:
            self._stop(entry, entry.idle_stop, "timeout", entry.idle_asked)
        elif entry.requeue_asked is not None and job.state in _ACTIVE:
            self._stop(entry, "it was asked to queue again", "requeue", entry.requeue_asked)

    def _keep_held(self, entry: Entry, job: JobState) -> None:
        """Have Slurm hold what is to be held, or release it; one that has started is not held any more."""
        if job.state != "PENDING":
            entry.held = entry.hold_due = False
            self._office.book.save(entry, durable=True)
        elif (job.priority == 0 or job.reason.startswith("JobHeld")) == entry.held:
            entry.hold_due = False
            self._office.book.save(entry, durable=True)
        else:
            self._press(entry, "scontrol", ["hold" if entry.held else "release", entry.target])

    def start_again(self, entry: Entry) -> bool:
        """Release a job that Slurm holds as its start has failed; False: that was done often enough."""
        tries, due = self._starts.get(entry.target, (0, 0.0))
        if time.monotonic() < due:
            return True
        if tries >= _MOST_STARTS:
            return False
        pause = min(_LONGEST_START, _START_SECONDS * 2**tries)
        self._starts[entry.target] = tries + 1, time.monotonic() + pause
        tools.run("scontrol", ["release", entry.target])
        return True

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
        if kind != "requeue":
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
        beats = []
        for each in told:
            with contextlib.suppress(KeyError, ValueError):  # a job may write there what it likes
                beats += [epoch_seconds(str(each["time"]))] if each else []
        return time.time() - max(beats, default=0.0) > SILENCE_SECONDS
