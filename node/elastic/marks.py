"""Which nodes that stand for good say that they have a run, or since when none: for the account's reaper."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from node.cluster.facts import ClusterFacts
from node.elastic.acts import Mark
from node.elastic.machines import FleetMachine
from node.elastic.memory import Memory
from node.idle_marks import FREE, RUNNING, free_mark
from node.slurm.tools import NodeState

_AGAIN_S = 30.0
"""A tag that EC2 does not list after so long is written once more."""


def marks(
    facts: ClusterFacts,
    nodes: Mapping[str, NodeState],
    machines: Sequence[FleetMachine],
    memory: Memory,
    now: float,
) -> Iterator[Mark]:
    """Yield the marks that are not as Slurm has the nodes; none where the environment has no such policy."""
    if not facts.marks_nodes:
        return
    for each in machines:
        node = nodes.get(each.name)
        if node is None or not each.alive or each.elastic:
            continue
        busy = node.state in ("ALLOCATED", "MIXED") or "COMPLETING" in node.flags
        if each.work.startswith(RUNNING if busy else FREE):
            continue
        lasted = memory.lasted(("mark", each.instance_id, busy), now)
        if lasted == 0 or lasted >= _AGAIN_S:
            yield Mark(each.instance_id, RUNNING if busy else free_mark(now))
