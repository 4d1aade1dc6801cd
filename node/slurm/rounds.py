"""The clerk's rounds: all of Slurm's jobs looked at at once, and each run told of, brought back or ended."""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import Mapping
from concurrent.futures import Executor

from node.layout import CANCELLED, FAILED, RUNNING
from node.slurm import ghosts, tools
from node.slurm.book import Entry
from node.slurm.ghosts import Ghosts
from node.slurm.idleness import Idleness
from node.slurm.intake import Intake
from node.slurm.keeping import held_back
from node.slurm.matching import array_verdict, by_run, choose, of_team, starts
from node.slurm.mirror import ENDED, Mirror
from node.slurm.office import Office, troubles
from node.slurm.orders import Orders
from node.slurm.publish import Publisher
from node.slurm.reasons import needs_us
from node.slurm.request import RefusedError
from node.slurm.submitter import Submitter
from node.slurm.teller import OverError
from node.slurm.tools import JobState, SlurmError
from node.watch import Verdict

_MISSING_LOOKS = 2
"""A job that Slurm does not know at so many looks in a row is lost."""
_NODES_SECONDS = 3.0
_UNSETTLED = frozenset({*ENDED, "COMPLETING"})

Seen = tuple[object, ...]


class Rounds:
    """One round after the other."""

    def __init__(
        self, office: Office, submitter: Submitter, orders: Orders, intake: Intake, pool: Executor
    ) -> None:
        self._office, self._submitter, self._intake, self._pool = office, submitter, intake, pool
        self._orders, self._mirror = orders, Mirror(office, submitter, orders)
        self._publisher, self._ghosts = Publisher(office.bucket), Ghosts(office)
        self._idleness = Idleness(office)
        self._seen: dict[str, Seen] = {}
        self._waiting: set[str] = set()
        """Runs that a worker is to attend to, or does."""
        self._nodes_at = float("-inf")
        self._away = ""
        for entry in office.book.entries():  # a clerk before this one may have been cut off in between
            intake.make_tasks(entry)

    def go(self) -> None:
        """Look once; what goes wrong is told, and tried again at the next look."""
        entries = self._office.book.entries()  # before the look: whoever comes later is no loss of Slurm's
        submitted = {entry.run_id: entry.submissions for entry in entries if entry.job_id}
        try:
            jobs, teams = by_run(tools.jobs()), self._office.teams()
        except troubles() as error:
            self._say_away(str(error))
            return
        self._say_away("")
        held = held_back()
        chosen: dict[str, JobState] = {}
        for entry in entries:
            mine = of_team(
                jobs.get(entry.run_id, ()), entry.team, teams, by_user=not self._office.machine.emulated
            )
            jobs[entry.run_id] = mine
            job = choose(entry, mine)
            if job is not None:
                chosen[entry.run_id] = job
            if self._wants_attention(entry, job, held.get(entry.run_id, ""), submitted):
                self._waiting.add(entry.run_id)
                self._pool.submit(self._attend, entry, job, held.get(entry.run_id, ""))
        self._cancel_doubles(jobs, chosen)
        self._idleness.go(entries, self._pool)
        if self._ghosts.are_likely():
            self._pool.submit(self._ghosts.lay, dict(jobs), dict(chosen))
        self._publish(chosen, held)

    def _say_away(self, why: str) -> None:
        if why != self._away:
            print(why or "Slurm answers again", file=sys.stderr, flush=True)
            self._away = why

    def _wants_attention(
        self, entry: Entry, job: JobState | None, held: str, submitted: Mapping[str, int]
    ) -> bool:
        if entry.run_id in self._waiting or self._office.book.is_busy(entry.run_id):
            return False
        if entry.tasks is not None:
            return True
        if job is None:
            # One that was submitted while we looked is none that Slurm has lost.
            return entry.submissions == submitted.get(entry.run_id, entry.submissions)
        ordered = bool(entry.cancelled_by) or bool(entry.idle_stop)
        ordered = ordered or entry.requeue_asked is not None or entry.hold_due
        urgent = job.state in _UNSETTLED or needs_us(job.reason)
        return ordered or urgent or self._seen.get(entry.run_id) != _sight(job, held)

    def _attend(self, entry: Entry, job: JobState | None, held: str) -> None:
        try:
            self._attend_to(entry, job, held)
        finally:
            self._waiting.discard(entry.run_id)

    def _attend_to(self, entry: Entry, job: JobState | None, held: str) -> None:
        book = self._office.book
        with book.locked(entry.run_id):
            if book.get(entry.run_id) is not entry:
                return
            try:
                if entry.tasks is not None:
                    self._gather(entry)
                elif job is None:
                    self._miss(entry)
                else:
                    self._mirror.follow(entry, job, held)
                    self._seen[entry.run_id] = _sight(job, held)
            except OverError:
                self._drop(entry)
            except troubles() as error:
                print(f"{entry.run_id}: {error}", file=sys.stderr, flush=True)
            except Exception:  # one run's trouble must not keep the others from being told of
                traceback.print_exc()
            if book.get(entry.run_id) is None:
                self._seen.pop(entry.run_id, None)

    def _drop(self, entry: Entry) -> None:
        """Let go of a run that somebody else has ended; its job, where it has one, has no reason any more."""
        if entry.tasks is not None and len(entry.task_ends) < len(entry.tasks):
            if not entry.cancelled_by:
                self._orders.cancel(entry, "whoever ended its array")
            return
        if entry.job_id and entry.tasks is None:
            try:
                tools.run("scancel", [entry.target])
            except SlurmError as error:
                if error.passing:  # it stays in the book, and so the next look comes here again
                    print(f"{entry.run_id} is over, and its job not: {error}", file=sys.stderr, flush=True)
                    return
        self._office.teller.forget(entry, FAILED)

    def _miss(self, entry: Entry) -> None:
        """Bring a run back that Slurm does not know."""
        entry.missing += 1
        if entry.job_id and entry.missing < _MISSING_LOOKS:
            return
        teller = self._office.teller
        if entry.submissions and self._mirror.settle(entry):
            return
        if entry.cancelled_by:
            teller.finish(entry, Verdict(CANCELLED, f"cancelled by {entry.cancelled_by}"))
            return
        if never := self._why_never(entry):
            teller.finish(entry, Verdict(FAILED, never))
            return
        if not self._submitter.may_try(entry):
            return
        if entry.submissions and (entry.job_id or not entry.parent):
            teller.check_open(entry)
        if entry.said == RUNNING:
            teller.requeue(entry, "Slurm had lost it, and gets it anew", None)
        elif entry.job_id:
            print(f"{entry.run_id}: Slurm had lost its job {entry.job_id}", file=sys.stderr, flush=True)
        entry.job_id = 0
        if entry.parent:
            self._office.book.save(entry)  # the array submits those of its tasks that have no job
            return
        self._submit(entry)

    def _why_never(self, entry: Entry) -> str:
        """Return why a task that Slurm does not have will not be submitted any more; "" where it will."""
        if not entry.parent:
            return ""
        array = self._office.book.get(entry.parent)
        return "its array is over" if array is None else array.never

    def _submit(self, entry: Entry) -> None:
        try:
            if self._submitter.submit(entry):
                self._office.teller.wait(entry, "")
            else:
                self._office.teller.wait(entry, "waiting for the runs that it comes after")
        except RefusedError as error:
            self._give_up(entry, str(error))
        except SlurmError as error:
            if error.passing:
                raise
            self._give_up(entry, f"Slurm refused it: {error.reason}")

    def _give_up(self, entry: Entry, why: str) -> None:
        """End a run that Slurm won't have; an array ends when its tasks have, of which some may run."""
        if entry.tasks is None:
            self._office.teller.finish(entry, Verdict(FAILED, why))
        else:
            entry.never = why
            self._office.book.save(entry)

    def _gather(self, array: Entry) -> None:
        """Tell of an array what its tasks come to."""
        assert array.tasks is not None
        tasks = self._office.book.tasks_of(array.run_id)
        waiting = [task for task in tasks if not task.job_id and not task.cancelled_by]
        if waiting and not array.never and self._submitter.may_try(array):
            self._submit(array)
        began = starts([*tasks, array])
        if array.said != RUNNING and began:
            array.times["started"] = min(began)
            self._office.teller.say(array, RUNNING, {"tasks": len(array.tasks)}, array.times["started"])
        if len(array.task_ends) == len(array.tasks):
            self._office.teller.finish(array, array_verdict(array))

    def _cancel_doubles(self, jobs: Mapping[str, list[JobState]], chosen: Mapping[str, JobState]) -> None:
        """Cancel a run's second job, which a submission whose answer was lost may have made."""
        doubles = []
        for run_id, job in chosen.items():
            for each in jobs[run_id] if len(jobs[run_id]) > 1 else ():
                if each.state not in _UNSETTLED and each.array_job_id != job.array_job_id:
                    print(f"{run_id}: job {each.target} is its second, and is cancelled", file=sys.stderr)
                    doubles.append(each.target)
        try:
            if doubles:
                tools.run("scancel", doubles)
        except SlurmError as error:  # one that ended just now; or the next look does it
            print(f"second jobs: {error}", file=sys.stderr, flush=True)

    def _publish(self, chosen: Mapping[str, JobState], held: Mapping[str, str]) -> None:
        try:
            self._publisher.queue(self._office.book.entries(), chosen, held)
            if time.monotonic() - self._nodes_at >= _NODES_SECONDS:
                self._nodes_at = time.monotonic()
                nodes = tools.nodes()
                ghosts.free(nodes)
                self._office.see_nodes(nodes)
                awake = {node.name for node in nodes if "POWERED_DOWN" not in node.flags}
                self._publisher.nodes(nodes, chosen, self._office.machines(awake))
        except troubles() as error:
            print(f"the queue could not be published: {error}", file=sys.stderr, flush=True)


def _sight(job: JobState, held: str) -> Seen:
    return (job.state, job.reason, job.started if job.state != "PENDING" else None, job.array_job_id, held)
