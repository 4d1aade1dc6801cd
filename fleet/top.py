"""What an environment's machines do now: their states, their runs, and what they say of themselves."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from fleet.clock import seconds_since, utc_now
from fleet.cluster_files import STATS, read_nodes
from fleet.instances import instances, tag_of
from fleet.job_queueing import SLURM, engine_of
from fleet.run_store import RunStore, open_runs
from fleet.session import Session
from stacks import naming

STALE_SECONDS = 45.0
"""What a node has said longer ago than this is no news: it says something every 15 s at least."""
SILENT_SECONDS = 180.0
"""Nor what the head has told of nodes longer ago than this: it does every minute at least."""


@dataclass(frozen=True)
class NodeNow:
    """One node."""

    name: str
    fleet: str
    state: str
    reason: str
    instance_id: str
    runs: tuple[str, ...]
    stats: Mapping[str, Any] | None = field(default=None)
    """What it said last, None where it said nothing lately: time, cpu_percent, load, memory_mib,
    memory_total_mib, gpus, received_mb_s, sent_mb_s, read_mb_s, written_mb_s, disk_free_gib."""

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {**vars(self), "runs": list(self.runs)}


def look_at_nodes(session: Session) -> list[NodeNow]:
    """Return the nodes of the environment by name; of the plain engine without what they say."""
    store = open_runs(session)
    if engine_of(session.cloud.variables, session.spec.scheduler.kind) != SLURM:
        return sorted(_plain_nodes(session, store), key=lambda node: (node.fleet, node.name))
    nodes = _told_of_nodes(store)
    stats = _read_stats(store, [str(node["name"]) for node in nodes if node.get("instance_id")])
    return [
        NodeNow(
            name=str(node["name"]),
            fleet=str(node.get("fleet") or ""),
            state=str(node["state"]),
            reason=str(node.get("reason") or ""),
            instance_id=str(node.get("instance_id") or ""),
            runs=tuple(node.get("runs") or ()),
            stats=stats.get(str(node["name"])),
        )
        for node in sorted(nodes, key=lambda node: _by_number(str(node["name"])))
    ]


def head_tells(session: Session) -> bool:
    """Return whether the head of the queue has told of its nodes lately: so it does once it is up."""
    told = read_nodes(open_runs(session))
    return told is not None and _age(told) <= SILENT_SECONDS


def _told_of_nodes(store: RunStore) -> list[dict[str, Any]]:
    """Return what the head tells of the nodes; of what it told long ago, only that it was so then."""
    told = read_nodes(store) or {"nodes": []}
    nodes: list[dict[str, Any]] = told["nodes"]
    if not nodes or _age(told) <= SILENT_SECONDS:
        return nodes
    reason = f"the head node has told nothing since {told['time']}"
    return [{**node, "state": "UNKNOWN", "reason": reason} for node in nodes]


def _age(said: Mapping[str, Any]) -> float:
    """Return how many seconds ago it was said."""
    return seconds_since(str(said["time"]))


def _read_stats(store: RunStore, names: Sequence[str]) -> dict[str, Mapping[str, Any]]:
    """Return what each of the nodes said last, if that is not long ago."""
    if not names:
        return {}
    assert store.s3, "made before there are threads"
    with ThreadPoolExecutor(max_workers=16) as pool:
        bodies = pool.map(lambda name: store.read_object(f"{STATS}{name}.json"), names)
        found = {name: json.loads(body) for name, body in zip(names, bodies, strict=True) if body}
    return {name: said for name, said in found.items() if _age(said) <= STALE_SECONDS}


def _plain_nodes(session: Session, store: RunStore) -> Iterator[NodeNow]:
    """Yield the machines that EC2 runs for the environment's fleets, and the run that holds each."""
    claims = store.claims()
    for each in instances(session, roles=[naming.ROLE_NODE]):
        name, state = str(each["InstanceId"]), each["State"]["Name"]
        run = claims.get(name)
        yield NodeNow(
            name=name,
            fleet=tag_of(each, naming.TAG_FLEET),
            state=state if state != "running" else "BUSY" if run else "IDLE",
            reason="",
            instance_id=name,
            runs=(run,) if run else (),
        )


def _by_number(name: str) -> tuple[str, int]:
    fleet, _, number = name.rpartition("-")
    return (fleet, int(number)) if number.isdecimal() else (name, 0)


def snapshot(nodes: Sequence[NodeNow]) -> dict[str, Any]:
    """Return the nodes as `fleetform top --json` answers."""
    return {"time": utc_now(), "nodes": [node.to_dict() for node in nodes]}
