"""The queue of an environment, as its head publishes it; of the plain engine, as its runs tell it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from fleet.clock import utc_now
from fleet.cluster_files import read_queue
from fleet.job_queueing import SLURM, engine_of
from fleet.run_store import RunStore, open_runs
from fleet.runs import RunStatus, active_runs
from fleet.session import Session

WAITING = frozenset({"SUBMITTED", "QUEUED", "HELD"})


@dataclass(frozen=True)
class Queue:
    """The runs that wait and that are carried out, in the order in which the queue has them."""

    scheduler: str
    time: str | None
    """When the head published it, UTC; None where it never has."""
    jobs: tuple[Mapping[str, Any], ...]
    """Of each: run_id, job_id, team, state, reason, nodes, gpus, node_names, priority, submitted, started,
    limit_minutes, position (from 1, of those that wait)."""

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {"scheduler": self.scheduler, "time": self.time, "jobs": [dict(job) for job in self.jobs]}


def look_at_queue(session: Session, team: str = "") -> Queue:
    """Return the queue, of one team or of all; Slurm's is one object to read, however long it is."""
    store = open_runs(session)
    engine = engine_of(session.cloud.variables, session.spec.scheduler.kind)
    if engine != SLURM:
        return Queue(engine, utc_now(), tuple(_plain_jobs(store)))
    found = read_queue(store)
    if found is None:
        return Queue(engine, None, ())
    jobs = [job for job in found["jobs"] if not team or job["team"] == team]
    return Queue(engine, str(found["time"]), tuple(in_order(jobs)))


def in_order(jobs: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return those that run first, oldest first, then those that wait, by their position."""

    def key(job: Mapping[str, Any]) -> tuple[bool, int, str]:
        waits = job["state"] in WAITING
        return (
            waits,
            int(job.get("position") or 0) if waits else 0,
            str(job.get("started") or job["submitted"]),
        )

    return sorted(jobs, key=key)


def _plain_jobs(store: RunStore) -> list[Mapping[str, Any]]:
    """Return the active runs of the plain engine, whose runs wait for nodes each by itself, in no order."""
    runs = sorted(active_runs(store), key=lambda run: run.submitted)
    with ThreadPoolExecutor(max_workers=8) as pool:
        requests = list(pool.map(lambda run: store.get_json(run.run_id, "run.json") or {}, runs))
    return in_order([_plain_job(run, request) for run, request in zip(runs, requests, strict=True)])


def _plain_job(run: RunStatus, request: Mapping[str, Any]) -> dict[str, Any]:
    waits = run.state in WAITING
    return {
        "run_id": run.run_id,
        "job_id": None,
        "team": "",
        "state": run.state,
        "reason": run.cause or (f"waits for {run.nodes} free nodes of {run.fleet}" if waits else ""),
        "nodes": run.nodes,
        "gpus": run.nodes * int(request.get("gpus_per_node") or 0),
        "node_names": [str(node["instance_id"]) for node in run.placed],
        "priority": "normal",
        "submitted": run.submitted,
        "started": run.started,
        "limit_minutes": request.get("max_minutes"),
        "position": None,
    }
