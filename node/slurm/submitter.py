"""Takes accepted runs to Slurm, for the first time or again; never a second time while Slurm may know one."""

from __future__ import annotations

import time

from node.layout import BATCH_STATE
from node.slurm import tools
from node.slurm.book import Entry
from node.slurm.dependencies import expression, standing
from node.slurm.office import Office
from node.slurm.request import RefusedError, Request, check
from node.slurm.submission import arguments, submit, surroundings

AGAIN_SECONDS = 8.0
"""After a submission whose answer was lost, before the next: Slurm may have taken it, and tells by then."""
_REDIRECT_SECONDS = 15.0
"""Before a job is told to wait for the same jobs again: one of them may be over, and not told of yet."""


class Submitter:
    """What goes to Slurm."""

    def __init__(self, office: Office) -> None:
        self._office = office
        self._tried: dict[str, float] = {}
        self._began = time.monotonic()
        self._redirected: dict[str, tuple[tuple[str, str], float]] = {}
        """What each run was last told to wait for, and when."""

    def may_try(self, entry: Entry) -> bool:
        """Return whether it is long enough ago that the run was last tried, by this clerk or another."""
        last = self._tried.get(entry.run_id, self._began if entry.submissions else float("-inf"))
        return time.monotonic() - last >= AGAIN_SECONDS

    def submit(self, entry: Entry, request: Request | None = None) -> bool:
        """Submit a run, or the tasks of an array that have no job; False: not yet, for one it comes after.

        Raises RefusedError where it can't be, SlurmError where Slurm refuses or is away.
        """
        office = self._office
        facts = office.facts()
        if request is None:
            run = office.read(entry.run_id, "run.json") or {}
            request = check(run, entry.run_id, entry.team, facts)
        now = standing(office.bucket, office.book, entry.after, any_end=request.after_any)
        if now.failed:
            raise RefusedError(now.failed)
        if now.unsubmitted:
            return False
        waiting = [task for task in office.book.tasks_of(entry.run_id) if not task.job_id]
        if entry.tasks is not None and not waiting:
            return True  # they have ended meanwhile: without tasks it would get a job of its own
        asked = arguments(
            request,
            facts,
            office.machine,
            turns_before=self._turns_before(entry),
            dependency=expression(now, any_end=request.after_any),
            tasks=[task.index for task in waiting if task.index is not None],
            held=entry.held,
        )
        entry.submissions += 1
        self._tried[entry.run_id] = time.monotonic()
        office.book.save(entry, durable=True)
        entry.job_id = submit(asked, surroundings(request, facts, office.machine))
        for task in waiting:
            task.job_id, task.missing, task.submissions = entry.job_id, 0, task.submissions + 1
            office.book.save(task)
        entry.missing = 0
        office.book.save(entry, durable=True)
        return True

    def _turns_before(self, entry: Entry) -> int:
        """Return how often the run was executed before, as its last batch step has noted."""
        if entry.attempt == 1 and entry.submissions == 0:
            return 0
        turn = (self._office.read(entry.run_id, BATCH_STATE) or {}).get("turn", 0)
        return turn if isinstance(turn, int) else 0

    def redirect(self, entry: Entry) -> str:
        """Have a run wait for the jobs of today; return why it can never begin, "" while it can.

        A task of an array waits for what its array comes after.
        """
        office = self._office
        owner = office.book.get(entry.parent) or entry
        if not owner.after:
            return "a run that it comes after has failed"
        run = office.read(owner.run_id, "run.json") or {}
        any_end = bool(run.get("after_any"))
        now = standing(office.bucket, office.book, owner.after, any_end=any_end)
        if now.failed or now.unsubmitted:
            return now.failed
        # Where nothing is left to wait for, all of them have succeeded: under jobs that Slurm has lost, or
        # while this look was on.
        depends = expression(now, any_end=any_end)
        last, at = self._redirected.get(entry.run_id, (("", ""), float("-inf")))
        if (entry.target, depends) != last or time.monotonic() - at >= _REDIRECT_SECONDS:
            self._redirected[entry.run_id] = (entry.target, depends), time.monotonic()
            tools.run("scontrol", ["update", f"JobId={entry.target}", f"Dependency={depends}"])
        return ""
