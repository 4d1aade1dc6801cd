"""Takes runs in: checked, noted on the disk that outlives the clerk, then told of, and taken to Slurm."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Executor
from typing import Any

from node.cluster.facts import NoClusterError
from node.events import EventLog
from node.layout import CANCELLED, FAILED, QUEUED, utc_now
from node.patience import persist
from node.slurm.book import Entry
from node.slurm.office import Office
from node.slurm.request import RUN_ID, RefusedError, Request, belongs, check
from node.slurm.submitter import Submitter
from node.slurm.teller import is_ended
from node.slurm.tools import SlurmError

Answer = tuple[bool, str]
"""Whether it was done, and a sentence."""


class Intake:
    """What becomes of a run that is submitted."""

    def __init__(self, office: Office, submitter: Submitter, pool: Executor) -> None:
        self._office, self._submitter, self._pool = office, submitter, pool

    def accept(self, run_id: str, team: str) -> Answer:
        """Take a run; one that is refused for what it asks gets its final event, with every reason."""
        office = self._office
        try:
            facts = office.facts()
            if team not in facts.teams:
                facts = office.facts(fresh=True)
        except NoClusterError as error:
            return False, str(error)
        if team not in facts.teams:
            return False, f"there is no team {team!r}"
        if not RUN_ID.fullmatch(run_id) or not belongs(run_id, team, facts):
            return False, f"{run_id!r} is no run of the team {team}"
        with office.book.locked(run_id):
            if office.book.get(run_id) is not None:
                return True, f"{run_id} is in the queue"
            run = office.read(run_id, "run.json")
            if run is None:
                return False, f"there is no run {run_id}"
            log = office.teller.adopt(run_id)
            attempt = run.get("attempt", 1)
            if is_ended(log, attempt if isinstance(attempt, int) else 1):
                return False, f"{run_id} has ended"
            try:
                request = check(run, run_id, team, facts)
            except RefusedError as error:
                return self._refuse(log, str(error))
            cancelled = office.read(run_id, "cancel.json")
            if cancelled is not None:
                return self._leave(request, log, str(cancelled.get("actor") or f"the team {team}"))
            return self._take(run, request, log)

    def _refuse(self, log: EventLog, why: str) -> Answer:
        persist(lambda: log.append(FAILED, {"cause": why}))
        return False, why

    def _leave(self, request: Request, log: EventLog, by: str) -> Answer:
        """End a run that was cancelled on its way here."""
        cause = {"cause": f"cancelled by {by} before it was queued"}
        for index in request.array.indices if request.array else ():
            task = self._office.teller.adopt(task_id(request.run_id, index))
            persist(lambda task=task: task.append(CANCELLED, cause))  # type: ignore[misc]
        persist(lambda: log.append(CANCELLED, cause))
        return False, f"{request.run_id} was {cause['cause']}"

    def _take(self, run: Mapping[str, Any], request: Request, log: EventLog) -> Answer:
        office = self._office
        entry = make_entry(run, request)
        office.book.save(entry, durable=True)
        self.make_tasks(entry)
        moment = utc_now()
        # The event and sbatch take their time side by side; from here on the run is not lost any more.
        detail = {"attempt": request.attempt} if request.attempt > 1 else {}
        telling = self._pool.submit(persist, lambda: log.append(QUEUED, detail, moment))
        try:
            submitted = self._submitter.submit(entry, request)
        except SlurmError as error:
            telling.result()
            if not error.passing:
                return self._give_up(entry, f"Slurm refused it: {error.reason}")
            message = f"{entry.run_id} is accepted; Slurm does not answer now, and gets it as soon as it does"
        except RefusedError as error:
            telling.result()
            return self._give_up(entry, str(error))
        else:
            telling.result()
            message = (
                f"job {entry.job_id}" if submitted else f"{entry.run_id} follows the runs that it comes after"
            )
        entry.said = QUEUED
        office.book.save(entry)
        return True, message

    def _give_up(self, entry: Entry, why: str) -> Answer:
        """End a run that can't be submitted; an array ends with its tasks, which the rounds end."""
        office = self._office
        if entry.tasks is not None:
            entry.said, entry.never = QUEUED, why
            office.book.save(entry, durable=True)
            return False, why
        office.teller.say(entry, FAILED, {"cause": why})
        office.book.remove(entry)
        return False, why

    def make_tasks(self, array: Entry) -> None:
        """Make the entries of an array's tasks that have none and are not over."""
        for index in array.tasks or ():
            run_id = task_id(array.run_id, index)
            if str(index) in array.task_ends or self._office.book.get(run_id) is not None:
                continue
            task = Entry(
                run_id=run_id, team=array.team, fleet=array.fleet, nodes=array.nodes, gpus=array.gpus,
                limit_minutes=array.limit_minutes, submitted=array.submitted, accepted=array.accepted,
                parent=array.run_id, index=index, queued_since=array.submitted, times=dict(array.times),
                held=array.held, cancelled_by=array.cancelled_by, cancelled_at=array.cancelled_at,
                priority=array.priority,
            )  # fmt: skip
            self._office.book.save(task)


def make_entry(run: Mapping[str, Any], request: Request) -> Entry:
    """Return the entry of a run that was just accepted."""
    submitted, now = str(run.get("resumed") or run.get("submitted") or utc_now()), utc_now()
    return Entry(
        run_id=request.run_id,
        team=request.team,
        fleet=request.fleet,
        nodes=request.nodes,
        gpus=request.gpus,
        limit_minutes=request.limit_minutes,
        submitted=submitted,
        accepted=now,
        queued_since=submitted,
        priority=request.priority,
        after=list(request.after),
        tasks=list(request.array.indices) if request.array else None,
        attempt=request.attempt,
        times={"submitted": submitted, "dispatched": now},
    )


def task_id(array: str, index: int) -> str:
    """Return the run id of one task of an array."""
    return f"{array}-a{index}"
