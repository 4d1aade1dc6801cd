"""A run's receipt: when each phase began, how long they took, how the nodes ended, and what that cost."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from node.layout import epoch_seconds, output_name, run_key, utc_text
from node.placement import Gang
from node.store import Bucket
from node.watch import Verdict

PHASES = ("submitted", "dispatched", "claimed", "started", "first_step", "ended")
_FIRST_LINE_BYTES = 8192


def make_receipt(
    bucket: Bucket,
    run: Mapping[str, Any],
    gang: Gang | None,
    times: Mapping[str, str],
    verdict: Verdict,
    file_system: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the receipt of a run; `times` are the UTC times of PHASES that were reached, without first_step.

    Cost counts every node from its claim until it was freed (`times["freed"]`, before a file system of the
    run's own was brought home) or to the run's end, at the list price that `run.json` carries; null where
    that carries none. `file_system` is what `node/run_file_system.py` says of it; the cost includes it.
    """
    reached = dict(times)
    first_step = first_step_time(bucket, run["run_id"])
    if first_step:
        reached["first_step"] = first_step
    phases = {name: reached[name] for name in PHASES if name in reached}
    begin, end = phases.get("claimed"), phases["ended"]
    held = epoch_seconds(times.get("freed", end)) - epoch_seconds(begin) if begin else 0.0
    nodes = len(gang.nodes) if gang else 0
    price = run.get("price_usd_per_hour")
    usd = None if price is None else held * nodes * price / 3600
    if file_system is not None:
        usd = None if usd is None or file_system["usd"] is None else usd + file_system["usd"]
    return {
        "run_id": run["run_id"],
        "outcome": verdict.event,
        "cause": verdict.cause,
        "phases": phases,
        "seconds": phase_seconds(phases),
        "nodes": _nodes(bucket, run["run_id"], gang),
        "cost": {
            "node_seconds": round(held * nodes, 3),
            "usd_per_node_hour": price,
            "usd": None if usd is None else round(usd, 4),
        },
        **({} if file_system is None else {"file_system": dict(file_system)}),
    }


def phase_seconds(phases: Mapping[str, str]) -> dict[str, float]:
    """Return the seconds from each reached phase to the next one, `submitted to claimed`, and the total."""
    moments = [(name, epoch_seconds(time)) for name, time in phases.items()]
    spans = {
        f"{name} to {following}": round(end - begin, 3)
        for (name, begin), (following, end) in zip(moments, moments[1:])  # noqa: B905, RUF007 - Python 3.10, no strict
    }
    return {**spans, "total": round(moments[-1][1] - moments[0][1], 3)}


def first_step_time(bucket: Bucket, run_id: str) -> str | None:
    """Return the UTC time of the first step in `metrics.jsonl`, or None where no step was logged."""
    start = bucket.get_start(run_key(run_id, "metrics.jsonl"), _FIRST_LINE_BYTES)
    if not start:
        return None
    try:
        time = json.loads(start.splitlines()[0])["time"]
        return utc_text(float(time)) if isinstance(time, int | float) else utc_text(epoch_seconds(time))
    except (ValueError, KeyError, TypeError):  # a user's script may write what it likes there
        return None


def _nodes(bucket: Bucket, run_id: str, gang: Gang | None) -> list[dict[str, Any]]:
    described = []
    for node in gang.describe() if gang else []:
        body = bucket.get(run_key(run_id, output_name(node["rank"])))
        report = json.loads(body) if body else {}
        described.append({**node, "launched": report.get("launched"), "exit_code": report.get("exit_code")})
    return described
