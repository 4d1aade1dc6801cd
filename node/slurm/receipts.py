"""The receipt of a run under Slurm: as any run's, with how long each step of its launch took."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from node.instances import Instance
from node.layout import epoch_seconds, run_key, utc_text
from node.placement import Gang
from node.receipt import PHASES, first_step_time, make_receipt, phase_seconds, read_left
from node.slurm.book import Entry
from node.store import Bucket
from node.watch import Verdict

_IMPORTED = "imports_done"
"""Event of goodput.jsonl: rank 0 has loaded its programs."""
_LAST_EVENTS = 256 * 1024
"""How much of the end of goodput.jsonl is looked at, bytes."""


def slurm_receipt(bucket: Bucket, run: Mapping[str, Any], entry: Entry, verdict: Verdict) -> dict[str, Any]:
    """Return the receipt; cost counts all executions of this attempt, from the giving of the nodes on."""
    placed = tuple(
        Instance(each["instance_id"], each["address"], each["instance_type"], "", each.get("node", ""))
        for each in entry.placed
    )
    gang = Gang(placed, 0) if placed else None
    left = read_left(bucket, entry.run_id, len(placed))
    receipt = make_receipt(bucket, run, gang, entry.times, verdict, left, node_seconds=entry.node_seconds)
    reports = [report for report in left.reports if report]
    launched = max((report["launched"] for report in reports if report.get("launched")), default="")
    imported = imported_time(bucket, entry.run_id, launched) if launched else None
    first_step = first_step_time(left.metrics, launched or entry.times.get("started", ""))
    receipt["launch"] = launch_seconds(entry, reports, imported, first_step)
    receipt["scheduler"] = _of_slurm(entry)
    return receipt


def short_receipt(entry: Entry, verdict: Verdict, why: str) -> dict[str, Any]:
    """Return what the book alone tells of a run, where the rest can't be read because of `why`."""
    phases = {name: entry.times[name] for name in PHASES if name in entry.times}
    return {
        "run_id": entry.run_id,
        "outcome": verdict.event,
        "cause": verdict.cause,
        "phases": phases,
        "seconds": phase_seconds(phases),
        "nodes": [dict(each) for each in entry.placed],
        "cost": {"node_seconds": round(entry.node_seconds, 3), "usd_per_node_hour": None, "usd": None},
        "note": f"what the run has left could not be read: {why}",
        "scheduler": _of_slurm(entry),
    }


def _of_slurm(entry: Entry) -> dict[str, int]:
    return {"job_id": entry.job_id, "requeues": entry.requeues, "submissions": entry.submissions}


def imported_time(bucket: Bucket, run_id: str, after: str) -> str | None:
    """Return the UTC time after `after` at which rank 0 had loaded its programs; None where nothing tells."""
    told = bucket.get_end(run_key(run_id, "goodput.jsonl"), _LAST_EVENTS) or b""
    for line in told.splitlines():
        with contextlib.suppress(
            ValueError, KeyError, TypeError, AttributeError
        ):  # half a line, or a script's own
            event = json.loads(line)
            if event["event"] == _IMPORTED and (moment := utc_text(float(event["time"]))) >= after:
                return moment
    return None


def launch_seconds(
    entry: Entry, reports: Sequence[Mapping[str, Any]], imported: str | None, first_step: str | None
) -> dict[str, float]:
    """Return the seconds of each step of the last execution's launch, in order; only those that there were.

    `queue` until it was given nodes; `capacity` until the machines were there and `boot` until they had
    started, where they were started for it; `health` until they were looked over; `fetch` of code, data and
    what earlier executions left; `imports` until rank 0 had loaded its programs, and `first_step` from there.
    """
    times, found = entry.times, {}
    claimed, started = times.get("claimed"), times.get("started")
    if claimed:
        found["queue"] = _between(entry.queued_since, claimed)
    if claimed and started:
        waited = _between(claimed, started)
        boots = [
            float(report["boot"]["seconds"])
            for report in reports
            if report.get("boot") and report["boot"]["ended"] >= claimed
        ]
        if boots:
            found["capacity"] = round(max(0.0, waited - max(boots)), 3)
            found["boot"] = min(max(boots), waited)
    health = [
        float(report["health_seconds"]) for report in reports if report.get("health_seconds") is not None
    ]
    if health:
        found["health"] = max(health)
    fetched = [report for report in reports if report.get("launched")]
    if fetched:
        found["fetch"] = max(_between(report["started"], report["launched"]) for report in fetched)
        since = max(report["launched"] for report in fetched)
        if imported and imported >= since:
            found["imports"] = _between(since, imported)
            since = imported
        if first_step and first_step >= since:
            found["first_step"] = _between(since, first_step)
    return {name: round(seconds, 3) for name, seconds in found.items()}


def _between(begin: str, end: str) -> float:
    with contextlib.suppress(ValueError):
        return max(0.0, epoch_seconds(end) - epoch_seconds(begin))
    return 0.0
