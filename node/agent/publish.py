"""When a machine's numbers are worth a write to the bucket: each costs, and hundreds of machines write."""

from __future__ import annotations

import json
from typing import Any

from node.cluster.facts import cluster_key
from node.layout import utc_text
from node.store import Bucket

BUSY_SECONDS, QUIET_SECONDS = 5.0, 15.0
"""Between two writes while a run is on the machine: where something has changed, and where not."""
IDLE_SECONDS = 60.0
"""Without a run."""
_SHARES = {"cpu_percent": 10.0, "memory_mib": 1024.0, "received_mb_s": 10.0, "sent_mb_s": 10.0}
"""A change by as much is noticeable."""
_GPU_PERCENT = 10.0


def stats_key(name: str) -> str:
    """Return the object of a node's numbers."""
    return cluster_key(f"stats/{name}.json")


class Publisher:
    """Writes `cluster/stats/<name>.json`."""

    def __init__(self, bucket: Bucket, name: str) -> None:
        self._bucket, self._name = bucket, name
        self._last: dict[str, Any] | None = None
        self._written = 0.0

    def offer(self, numbers: dict[str, Any], now: float) -> bool:
        """Write the numbers of `now`, seconds since the epoch, if they are due; returns whether it did."""
        if not self.due(numbers, now):
            return False
        body = {"name": self._name, "time": utc_text(now), **numbers}
        self._bucket.put(stats_key(self._name), json.dumps(body).encode())
        self._last, self._written = numbers, now
        return True

    def due(self, numbers: dict[str, Any], now: float) -> bool:
        """Whether the numbers are to be written now."""
        if self._last is None or numbers["runs"] != self._last["runs"]:
            return True
        age = now - self._written
        if not numbers["runs"]:
            return age >= IDLE_SECONDS
        return age >= QUIET_SECONDS or (age >= BUSY_SECONDS and noticeable(self._last, numbers))


def noticeable(before: dict[str, Any], now: dict[str, Any]) -> bool:
    """Return whether somebody who watches would see the difference."""
    if any(abs(now[name] - before[name]) >= share for name, share in _SHARES.items()):
        return True
    pairs = zip(before["gpus"], now["gpus"], strict=False)
    return len(before["gpus"]) != len(now["gpus"]) or any(
        abs((b["busy_percent"] or 0.0) - (a["busy_percent"] or 0.0)) >= _GPU_PERCENT
        or abs((b["memory_mib"] or 0.0) - (a["memory_mib"] or 0.0)) >= _SHARES["memory_mib"]
        for a, b in pairs
    )
