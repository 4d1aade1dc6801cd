"""A run's receipt: when each phase began, how long they took, how the nodes ended, and what that cost."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from node.layout import SUCCEEDED, attempt_name, epoch_seconds, output_name, run_key, speedup_key, utc_text
from node.placement import Gang
from node.speedup import point_of, speedup_of
from node.store import Bucket
from node.watch import Verdict

_GOODPUT = ("wall_seconds", "goodput_percent", "buckets", "lost_steps")
"""What a receipt takes over from goodput.json (docs/numbers.md)."""
_LAST_EVENTS = 8192
"""How much of the end of goodput.jsonl is looked at, bytes."""
_JITTER = 1.0
"""Seconds by which the clocks of those who tell it may differ."""
PHASES = ("submitted", "dispatched", "claimed", "started", "first_step", "ended")


@dataclass(frozen=True)
class Left:
    """What a run has left in its directory, as far as several parts of its receipt need it: read once."""

    reports: Sequence[Mapping[str, Any] | None]
    """What each node said at its end, by rank; None of one that said nothing."""
    metrics: bytes
    """`metrics.jsonl`."""


def read_left(bucket: Bucket, run_id: str, nodes: int) -> Left:
    """Return what a run on so many nodes has left; none where it was never given them."""
    bodies = [bucket.get(run_key(run_id, output_name(rank))) for rank in range(nodes)]
    reports = [json.loads(body) if body else None for body in bodies]
    return Left(reports, bucket.get(run_key(run_id, "metrics.jsonl")) or b"")


def make_receipt(
    bucket: Bucket,
    run: Mapping[str, Any],
    gang: Gang | None,
    times: Mapping[str, str],
    verdict: Verdict,
    left: Left,
    file_system: Mapping[str, Any] | None = None,
    node_seconds: float | None = None,
) -> dict[str, Any]:
    """Return the receipt of a run; `times` are the UTC times of PHASES that were reached, without first_step.

    Cost counts every node from its claim until it was freed (`times["freed"]`, before a file system of the
    run's own was brought home) or to the run's end, at the list price that `run.json` carries; null where
    that carries none; `node_seconds` counts instead of that time where it is given, as where a run had nodes
    more than once. `file_system` is what `node/run_file_system.py` says of it; the cost includes it.
    """
    reached = dict(times)
    if first_step := first_step_time(left.metrics, after=times.get("claimed", "")):
        reached["first_step"] = first_step
    phases = {name: reached[name] for name in PHASES if name in reached}
    if node_seconds is None:
        node_seconds = _held_seconds(phases, times) * (len(gang.nodes) if gang else 0)
    cost = _cost(run, node_seconds, file_system)
    seconds = phase_seconds(phases)
    earlier = earlier_attempts(bucket, run)
    mine = {"outcome": verdict.event, "cause": verdict.cause, "seconds": seconds["total"], "cost": cost}
    return {
        "run_id": run["run_id"],
        "outcome": verdict.event,
        "cause": verdict.cause,
        "phases": phases,
        "seconds": seconds,
        "nodes": _nodes(gang, left.reports),
        "speedup": _speedup(bucket, run, left.reports),
        "goodput": _goodput(bucket, run["run_id"]),
        "cost": _sum([each["cost"] for each in [*earlier, mine]]),
        **({"attempts": [*earlier, mine]} if earlier else {}),
        **({} if file_system is None else {"file_system": dict(file_system)}),
    }


def _held_seconds(phases: Mapping[str, str], times: Mapping[str, str]) -> float:
    """Return for how long the run held its nodes."""
    begin, end = phases.get("claimed"), phases["ended"]
    return epoch_seconds(times.get("freed", end)) - epoch_seconds(begin) if begin else 0.0


def _cost(
    run: Mapping[str, Any], node_seconds: float, file_system: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Return what so many seconds of a node cost, and the run's file system with them."""
    price = run.get("price_usd_per_hour")
    usd = None if price is None else node_seconds * price / 3600
    if file_system is not None:
        usd = None if usd is None or file_system["usd"] is None else usd + file_system["usd"]
    return {
        "node_seconds": round(node_seconds, 3),
        "usd_per_node_hour": price,
        "usd": None if usd is None else round(usd, 4),
    }


def phase_seconds(phases: Mapping[str, str]) -> dict[str, float]:
    """Return the seconds from each reached phase to the next one, `submitted to claimed`, and the total."""
    moments = [(name, epoch_seconds(time)) for name, time in phases.items()]
    spans = {
        f"{name} to {following}": round(end - begin, 3)
        for (name, begin), (following, end) in zip(moments, moments[1:])  # noqa: B905, RUF007 - Python 3.10, no strict
    }
    return {**spans, "total": round(moments[-1][1] - moments[0][1], 3)}


def _speedup(
    bucket: Bucket, run: Mapping[str, Any], reports: Sequence[Mapping[str, Any] | None]
) -> dict[str, Any]:
    """Return what its processes were worth; where the run tells no steps, its longest node counts."""
    told = [report for report in reports if report]
    walls = [
        epoch_seconds(report["ended"]) - epoch_seconds(report["launched"])
        for report in told
        if report.get("launched") and report.get("exit_code") == 0
    ]
    wall, restarted = max(walls, default=None), any(report.get("relaunches") for report in told)
    restarted = restarted or _was_restarted(bucket, run["run_id"])
    body = bucket.get(run_key(run["run_id"], "summary.json"))
    try:
        summary = json.loads(body) if body else None
        return speedup_of(run, summary, wall, restarted=restarted)
    except (ValueError, KeyError, TypeError, AttributeError, ZeroDivisionError) as error:
        # A script may write a summary.json of its own, of any form.
        found = speedup_of(run, None, wall, restarted=restarted)
        return found | {"note": f"summary.json: {error!r}"}


def _was_restarted(bucket: Bucket, run_id: str) -> bool:
    """Return whether the launcher has started the processes more than once."""
    body = bucket.get(run_key(run_id, "goodput.json"))
    try:
        return int(json.loads(body or b"{}").get("attempts", 1)) > 1
    except (ValueError, TypeError, AttributeError):  # a script may keep a file of that name
        return False


def _goodput(bucket: Bucket, run_id: str) -> dict[str, Any] | None:
    """Return where the time of all attempts went, as the last launcher has reckoned; None where it did not.

    A launcher that was killed leaves the ledger of one before it, which knows nothing of what was told since.
    """
    body = bucket.get(run_key(run_id, "goodput.json"))
    events = bucket.get_end(run_key(run_id, "goodput.jsonl"), _LAST_EVENTS) or b""
    try:
        found = json.loads(body or b"null")
        if found is None or _last_time(events) > float(found["until"]) + _JITTER:
            return None
        return {name: found[name] for name in _GOODPUT}
    except (ValueError, KeyError, TypeError):  # a script may keep a file of that name
        return None


def _last_time(events: bytes) -> float:
    """Return the latest time of the whole lines; 0 where there is none."""
    times = [0.0]
    for line in events.splitlines():
        with contextlib.suppress(ValueError, KeyError, TypeError):  # half a line
            times.append(float(json.loads(line)["time"]))
    return max(times)


def earlier_attempts(bucket: Bucket, run: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return how each attempt before this one ended, and its own cost; none for a run's first."""
    found = []
    for attempt in range(1, int(run.get("attempt", 1))):
        body = bucket.get(run_key(run["run_id"], attempt_name(attempt, "receipt.json")))
        receipt = json.loads(body) if body else None
        if receipt is None:  # its dispatcher was gone, and nobody wrote one
            cost = {"node_seconds": 0.0, "usd_per_node_hour": None, "usd": None}
            found.append({"outcome": "", "cause": "left no receipt", "seconds": None, "cost": cost})
        elif "attempts" in receipt:
            found.append(receipt["attempts"][-1])
        else:
            about = {name: receipt[name] for name in ("outcome", "cause", "cost")}
            found.append({**about, "seconds": receipt["seconds"]["total"]})
    return found


def _sum(costs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the cost of all attempts; US dollars are null where those of one are not known."""
    known = [float(cost["usd"]) for cost in costs if cost["usd"] is not None]
    return {
        "node_seconds": round(sum(float(cost["node_seconds"]) for cost in costs), 3),
        "usd_per_node_hour": costs[-1]["usd_per_node_hour"],
        "usd": round(sum(known), 4) if len(known) == len(costs) else None,
    }


def first_step_time(metrics: bytes, after: str = "") -> str | None:
    """Return the UTC time of the first step in a `metrics.jsonl` after a UTC time, or None without one."""
    for line in metrics.splitlines():
        try:
            time = json.loads(line)["time"]
            text = utc_text(float(time)) if isinstance(time, int | float) else utc_text(epoch_seconds(time))
        except (ValueError, KeyError, TypeError):  # a user's script may write what it likes there
            return None
        if text >= after:
            return text
    return None


def _nodes(gang: Gang | None, reports: Sequence[Mapping[str, Any] | None]) -> list[dict[str, Any]]:
    described = []
    for node in gang.describe() if gang else []:
        report = reports[node["rank"]] or {}
        described.append({**node, "launched": report.get("launched"), "exit_code": report.get("exit_code")})
    return described


def write_receipt(
    bucket: Bucket,
    run: Mapping[str, Any],
    receipt: Mapping[str, Any],
    verdict: Verdict,
    ended: str,
    *,
    measures: bool = True,
) -> None:
    """Write a run's receipt, and with `measures` what its success tells the receipts of later runs."""
    bucket.put(run_key(run["run_id"], "receipt.json"), json.dumps(receipt, indent=2).encode())
    point = point_of(run, receipt["speedup"], ended)
    if point is not None and verdict.event == SUCCEEDED and measures:
        bucket.put(speedup_key(run["job_digest"], one=True), json.dumps(point).encode())
