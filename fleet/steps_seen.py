"""The steps of a run as its metrics.jsonl tells them while it is still written."""

from __future__ import annotations

import json
from typing import Any

from fleet.run_store import RunStore


def metrics(store: RunStore, run_id: str) -> list[dict[str, Any]]:
    """Return the lines of the run's metrics.jsonl; the last one may be half written."""
    return parse_steps(store.get(run_id, "metrics.jsonl") or b"")


def parse_steps(body: bytes) -> list[dict[str, Any]]:
    """Return the steps of a metrics.jsonl; lines that are none, as a program may write any, are left out."""
    found = []
    for line in body.splitlines():
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return [line for line in found if isinstance(line, dict) and "step" in line and "time" in line]


def last_step(store: RunStore, run_id: str) -> dict[str, Any] | None:
    """Return the newest line, or None before there is one."""
    return next(reversed(metrics(store, run_id)), None)
