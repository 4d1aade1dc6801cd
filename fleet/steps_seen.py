"""The steps of a run as its metrics.jsonl tells them while it is still written."""

from __future__ import annotations

import json
from typing import Any

from fleet.run_store import RunStore


def metrics(store: RunStore, run_id: str) -> list[dict[str, Any]]:
    """Return the lines of the run's metrics.jsonl; the last one may be half written."""
    found = []
    for line in (store.get(run_id, "metrics.jsonl") or b"").splitlines():
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return [line for line in found if "step" in line and "time" in line]


def last_step(store: RunStore, run_id: str) -> dict[str, Any] | None:
    """Return the newest line, or None before there is one."""
    return next(reversed(metrics(store, run_id)), None)
