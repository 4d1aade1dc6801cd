"""What the head node and the nodes of a queue tell of themselves, in the artifact bucket."""

from __future__ import annotations

import json
from typing import Any

from fleet.run_store import RunStore

QUEUE = "cluster/queue.json"
"""What the head publishes of its queue."""
NODES, STATS = "cluster/nodes.json", "cluster/stats/"
"""What the head publishes of its nodes, and each node of itself."""


def read_queue(store: RunStore) -> dict[str, Any] | None:
    """Return the queue as the head has last published it, or None where it never has."""
    return _read(store, QUEUE)


def read_nodes(store: RunStore) -> dict[str, Any] | None:
    """Return the nodes as the head has last published them, or None where it never has."""
    return _read(store, NODES)


def _read(store: RunStore, key: str) -> dict[str, Any] | None:
    body = store.read_object(key)
    return json.loads(body) if body is not None else None
