"""Tells of each run what Slurm does with its job: one look at a time, from whatever was said last."""

from __future__ import annotations

import time

from node.instances import Instance
from node.layout import (
    BATCH_STATE,
    CANCELLED,
    FAILED,
    PREEMPTED,
    PROVISIONING,
    QUEUED,
    RUNNING,
    SUCCEEDED,
    TIMED_OUT,
    epoch_seconds,
    utc_text,
)
from node.slurm import tools
from node.slurm.book import Entry
from node.slurm.office import Office
from node.slurm.orders import Orders
from node.slurm.reasons import in_words, is_parked
from node.slurm.submitter import Submitter
from node.slurm.teller import close_execution
from node.slurm.tools import JobState
from node.slurm.words import is_of, left, told
from node.watch import Verdict

ENDED = frozenset(
    {
        "BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY",
        "PREEMPTED", "REVOKED", "TIMEOUT",
    }
)  # fmt: skip
"""Slurm's states of a job that it is done with, unless it is about to be requeued."""
_COMING, _ENDING = "CONFIGURING", "COMPLETING"
_RUNNING = frozenset({"RUNNING", "SUSPENDED", "SIGNALING", "STAGE_OUT"})
_SETTLE_SECONDS = 15.0
"""How long a job that is to be requeued may look as if it were over."""


class Mirror:
    """Keeps the events of a run to what Slurm says of its job."""

    def __init__(self, office: Office, submitter: Submitter, orders: Orders) -> None:
        self._office, self._submitter, self._orders = office, submitter, orders
        self._tell = office.teller
        self._ended_at: dict[str, float] = {}

    def follow(self, entry: Entry, job: JobState, held_back: str = "") -> None:
        """Say what has changed. `held_back`: why there is no machine for it, where that is known."""
        entry.missing = 0
        if not entry.job_id:
            entry.job_id = job.array_job_id
        if job.state == _COMING:
            self._coming(entry, job, held_back)
        elif job.state in _RUNNING:
            self._running(entry, job)
        elif job.state == _ENDING:
            self._ending(entry, job)
        elif job.state in ENDED:
            self._over(entry, job)
        else:
            self._waiting(entry, job, held_back)
        if self._office.book.get(entry.run_id) is not None:
            self._orders.enforce(entry, job)

    def _waiting(self, entry: Entry, job: JobState, held_back: str) -> None:
        self._lost_nodes(entry, job)
        if job.reason == "DependencyNeverSatisfied":
            never = self._submitter.redirect(entry)
            if never:
                self._end_array(entry, never)
                self._never(entry, never)
                return
        if is_parked(job.reason) and not entry.held and not self._orders.start_again(entry):
            self._never(entry, f"Slurm could not start it again and again: {job.reason}")
            return
        reason = held_back or in_words(job.reason, entry.nodes, entry.fleet)
        if entry.held and job.reason.startswith("JobHeld"):
            reason = "held"
        elif job.reason == "BeginTime" and entry.requeues:
            reason = "starts again in a few seconds"
        self._tell.wait(entry, reason)

    def _end_array(self, task: Entry, why: str) -> None:
        """Note of a task's array that none of its tasks can begin: all of them come after the same."""
        array = self._office.book.get(task.parent)
        if array is not None and not array.never:
            array.never = why
            self._office.book.save(array)

    def _never(self, entry: Entry, why: str) -> None:
        """End a run that can't begin; noted first, for Slurm may cancel its job and not say so."""
        entry.never = why
        self._office.book.save(entry, durable=True)
        tools.run("scancel", [entry.target])
        self._tell.finish(entry, Verdict(FAILED, why))

    def _lost_nodes(self, entry: Entry, job: JobState) -> None:
        """Say that the run was requeued, where it had nodes when we looked last."""
        if entry.said == RUNNING:
            reason = self._why_requeued(entry)
            self._office.forget_machines()
            self._tell.requeue(entry, reason, job.submitted)
        elif entry.said == PROVISIONING:
            # Its machines did not all come: it has not run; those that came waited for the others, and cost.
            names = {str(each["node"]) for each in entry.placed}
            came = names & set(self._office.machines(names))
            close_execution(entry, job.submitted, len(came))
            entry.placed = []
            self._office.book.save(entry)

    def _why_requeued(self, entry: Entry) -> str:
        """Return why an execution that was on did not come to its end."""
        names = {each.get("node", "") for each in entry.placed}
        down = [node for node in tools.nodes() if node.name in names and node.state == "DOWN"]
        if down:
            return "; ".join(f"{node.name} failed: {node.reason or 'it does not answer'}" for node in down)
        record = self._office.read(entry.run_id, BATCH_STATE) or {}
        if record.get("requeue") and is_of(record, entry.started):
            return str(record.get("cause", ""))
        return "Slurm took its nodes away"

    def _coming(self, entry: Entry, job: JobState, held_back: str) -> None:
        """Say that it has been given nodes, and that their machines are being started."""
        if entry.said == RUNNING:
            self._lost_nodes(entry, job)
        self._allocate(entry, job.started)
        reason = held_back or f"starting machines for {job.node_names}"
        if entry.said != PROVISIONING or entry.reason != reason:
            self._place(entry, job)
            self._tell.say(entry, PROVISIONING, {"nodes": entry.placed, "reason": reason})

    def _allocate(self, entry: Entry, moment: float | None) -> None:
        if entry.allocated is None and moment is not None:
            entry.allocated = moment
            entry.times["claimed"] = utc_text(max(moment, epoch_seconds(entry.submitted)))

    def _running(self, entry: Entry, job: JobState) -> None:
        begun_anew = entry.started is not None and job.started is not None and job.started > entry.started
        if entry.said == RUNNING and begun_anew:
            self._lost_nodes(entry, job)  # it was requeued and started between two looks
        if entry.said != RUNNING:
            self._started(entry, job)
        elif any(not each["instance_id"] for each in entry.placed):
            known = [each["instance_id"] for each in entry.placed]
            self._place(entry, job)
            if [each["instance_id"] for each in entry.placed] != known:
                self._office.book.save(entry)

    def _started(self, entry: Entry, job: JobState) -> None:
        self._allocate(entry, job.started)
        self._place(entry, job)
        entry.started = job.started
        # Slurm counts in whole seconds: an event must not lie before the one that it follows.
        moment = utc_text(
            max(job.started or time.time(), entry.allocated or 0, epoch_seconds(entry.accepted))
        )
        entry.times["started"] = moment
        self._tell.say(entry, PROVISIONING, {"nodes": entry.placed}, moment)
        self._tell.say(entry, RUNNING, {"job_id": job.job_id}, moment)

    def _place(self, entry: Entry, job: JobState) -> None:
        """Note the nodes in the order of their ranks."""
        names = tools.expand(job.node_names)
        machines = self._office.machines(set(names))
        none = Instance("", "", "")
        entry.placed = [
            {
                "rank": rank,
                "instance_id": (machine := machines.get(name, none)).instance_id,
                "instance_type": machine.instance_type,
                "address": machine.address,
                "node": name,
            }
            for rank, name in enumerate(names)
        ]

    def _ending(self, entry: Entry, job: JobState) -> None:
        """End a run as soon as its batch step has said how, though Slurm still cleans up."""
        if entry.said in (QUEUED, PROVISIONING) and job.started is not None and job.node_names:
            self._started(entry, job)
        verdict = self._told(entry, job)
        if verdict is not None:
            self._tell.finish(entry, verdict)

    def _told(self, entry: Entry, job: JobState) -> Verdict | None:
        """Return how the run ended as its batch step says; None where it said nothing, or will run again."""
        return told(self._office.read(entry.run_id, BATCH_STATE) or {}, entry, job)

    def _over(self, entry: Entry, job: JobState) -> None:
        if entry.said != RUNNING and job.started is not None and job.node_names and job.started != job.ended:
            self._started(entry, job)
        verdict = self._told(entry, job) or self._slurms_word(entry, job)
        if verdict is not None:
            self._ended_at.pop(entry.run_id, None)
            self._tell.finish(entry, verdict, job.ended)

    def _slurms_word(self, entry: Entry, job: JobState) -> Verdict | None:
        """Return how the job ended as Slurm says, once it surely is not being requeued."""
        if job.state == "COMPLETED":
            return Verdict(SUCCEEDED)  # a batch step ends with 0 after a success alone
        if job.state == "CANCELLED" and entry.never:
            return Verdict(FAILED, entry.never)
        if job.state == "CANCELLED" and entry.idle_stop and not entry.cancelled_by:
            return Verdict(TIMED_OUT, entry.idle_stop)
        if job.state == "CANCELLED":
            by = entry.cancelled_by or "somebody, in Slurm itself"
            return Verdict(CANCELLED, f"cancelled by {by}")
        since = self._ended_at.setdefault(entry.run_id, time.monotonic())
        if time.monotonic() - since < _SETTLE_SECONDS and job.state != "TIMEOUT":
            return None
        if job.state == "TIMEOUT":
            return Verdict(TIMED_OUT, f"it ran longer than its limit of {entry.limit_minutes:g} minutes")
        record = self._office.read(entry.run_id, BATCH_STATE) or {}
        if record.get("requeue") and is_of(record, job.started):
            return Verdict(PREEMPTED, str(record.get("cause", "")))
        nodes = f" on {job.node_names}" if job.node_names else ""
        return Verdict(FAILED, f"Slurm says {job.state}{nodes}; its batch step ended without a word")

    def settle(self, entry: Entry) -> bool:
        """End a run whose job Slurm has forgotten, where its batch step has said how it ended."""
        verdict = left(self._office.read(entry.run_id, BATCH_STATE) or {}, entry)
        if verdict is not None:
            self._tell.finish(entry, verdict)
        return verdict is not None
