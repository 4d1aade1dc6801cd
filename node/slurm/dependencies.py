"""Runs that come after others: as Slurm's dependencies, which follow a run when it gets another job."""

from __future__ import annotations

from dataclasses import dataclass

from node.events import parse_events
from node.layout import FINAL_EVENTS, SUCCEEDED, run_key
from node.patience import persist
from node.slurm.book import Book
from node.store import Bucket


@dataclass(frozen=True)
class Standing:
    """How the runs stand that another comes after."""

    job_ids: tuple[int, ...] = ()
    """Jobs of those that are not over."""
    unsubmitted: tuple[str, ...] = ()
    """Those that Slurm does not know yet."""
    failed: str = ""
    """Why the run can never begin; "" while it can."""


def standing(bucket: Bucket, book: Book, after: list[str], *, any_end: bool) -> Standing:
    """Return how they stand; `any_end`: they need not succeed."""
    job_ids: list[int] = []
    unsubmitted: list[str] = []
    for run_id in after:
        entry = book.get(run_id)
        if entry is None:
            end = _end(bucket, run_id)
            if not end:
                return Standing(failed=f"there is no run {run_id} in the queue that it could come after")
            if end != SUCCEEDED and not any_end:
                return Standing(failed=f"the run {run_id}, which it comes after, has ended as {end}")
            continue
        tasks = book.tasks_of(run_id) if entry.tasks is not None else [entry]
        if entry.tasks is not None and not any_end:
            bad = [index for index, end in entry.task_ends.items() if end != SUCCEEDED]
            if bad:
                return Standing(failed=f"task {bad[0]} of the run {run_id}, which it comes after, has failed")
        job_ids += [task.job_id for task in tasks if task.job_id]
        unsubmitted += [task.run_id for task in tasks if not task.job_id]
    return Standing(tuple(sorted(set(job_ids))), tuple(unsubmitted))


def _end(bucket: Bucket, run_id: str) -> str | None:
    """Return the final event of a run that the book does not have; "" without one, None without a run."""
    body = persist(lambda: bucket.get(run_key(run_id, "events.jsonl")))
    if body is None:
        return None
    events = parse_events(body)
    last = str(events[-1]["event"]) if events else ""
    return last if last in FINAL_EVENTS else ""


def expression(now: Standing, *, any_end: bool) -> str:
    """Return it as sbatch reads it, `afterok:17:18`; "" where nothing is to be waited for."""
    kind = "afterany" if any_end else "afterok"
    return ":".join([kind, *map(str, now.job_ids)]) if now.job_ids else ""
