"""The queue and the nodes as everybody may read them: `cluster/queue.json` and `cluster/nodes.json`."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

from node.cluster.facts import cluster_key
from node.elastic.names import fleet_of
from node.instances import Instance
from node.layout import QUEUED, REQUEUED, utc_now, utc_text
from node.patience import persist
from node.slurm.book import Entry
from node.slurm.tools import JobState, NodeState, expand
from node.store import Bucket

_ON_NODES = ("RUNNING", "CONFIGURING", "COMPLETING")
_LEAST_SECONDS = 1.0
_BYTES_PER_SECOND = 256 * 1024
"""A long queue rests between two writings: its size over this."""
_OLDEST_SECONDS = 60.0
"""After so long it is written though nothing has changed: so everybody sees that the clerk lives."""


class Publisher:
    """Writes what has changed."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket
        self._written: dict[str, tuple[str, float, int]] = {}

    def queue(self, entries: Sequence[Entry], jobs: Mapping[str, JobState], words: Mapping[str, str]) -> None:
        """Write the queue. `words`: why a run waits, where that says more than Slurm's own reason."""
        told = [_described(entry, words) for entry in entries]
        ranks = {run_id: job.priority for run_id, job in jobs.items()}
        waiting = sorted(
            (each for each in told if each["state"] == QUEUED and "tasks" not in each),
            key=lambda each: (-ranks.get(each["run_id"], 0), each["job_id"], each["run_id"]),
        )
        for position, each in enumerate(waiting, start=1):
            each["position"] = position
        running = [each for each in told if each["position"] is None]
        self._write("queue.json", "jobs", [*running, *waiting])

    def nodes(
        self, nodes: Sequence[NodeState], jobs: Mapping[str, JobState], machines: Mapping[str, Instance]
    ) -> None:
        """Write the nodes."""
        runs: dict[str, list[str]] = {}
        for run_id, job in jobs.items():
            if job.state in _ON_NODES:
                for name in expand(job.node_names):
                    runs.setdefault(name, []).append(run_id)
        told = [
            {
                "name": node.name,
                "fleet": fleet_of(node.name),
                "state": _state(node),
                "reason": node.reason,
                "instance_id": machines[node.name].instance_id if node.name in machines else "",
                "address": node.address,
                "runs": sorted(runs.get(node.name, ())),
            }
            for node in nodes
        ]
        self._write("nodes.json", "nodes", told)

    def _write(self, name: str, kind: str, told: Sequence[Mapping[str, Any]]) -> None:
        body, now = json.dumps(told), time.monotonic()
        known, at, size = self._written.get(name, ("", float("-inf"), 0))
        age = now - at
        if age < max(_LEAST_SECONDS, size / _BYTES_PER_SECOND) or (body == known and age < _OLDEST_SECONDS):
            return
        text = f'{{"time": "{utc_now()}", "{kind}": {body}}}'
        persist(lambda: self._bucket.put(cluster_key(name), text.encode()), patience=5, pause=1)
        self._written[name] = (body, now, len(text))


def _described(entry: Entry, words: Mapping[str, str]) -> dict[str, Any]:
    waits = entry.said in ("", QUEUED, REQUEUED)
    state = entry.said if not waits else ("HELD" if entry.held else QUEUED)
    return {
        "run_id": entry.run_id,
        "job_id": entry.job_id,
        "team": entry.team,
        "fleet": entry.fleet,
        "state": state,
        "reason": words.get(entry.run_id) or entry.reason,
        # An array is there as such, too, but its nodes are its tasks'.
        **({} if entry.tasks is None else {"tasks": len(entry.tasks)}),
        "nodes": entry.nodes if entry.tasks is None else 0,
        "gpus": entry.nodes * entry.gpus if entry.tasks is None else 0,
        "node_names": [str(each["node"]) for each in entry.placed],
        "priority": entry.priority,
        "submitted": entry.submitted,
        "started": None if entry.started is None else utc_text(entry.started),
        "limit_minutes": entry.limit_minutes,
        "position": None,
    }


def _state(node: NodeState) -> str:
    """Return the node's state in one word, its most telling flag before the rest."""
    for flag in ("POWERING_UP", "POWERING_DOWN", "POWERED_DOWN"):
        if flag in node.flags and node.state != "DOWN":
            return flag.lower()
    if node.state == "DOWN":
        return "down"
    return "drained" if "DRAIN" in node.flags else node.state.lower()
