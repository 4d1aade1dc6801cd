"""Decides which machines nobody needs: started by a head that died, never joined, or forgotten at the end.

Only machines with our own tags are looked at, of these only such as were started for jobs, and none whose
attempt is still on record.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from node.cluster.facts import ClusterFacts
from node.elastic.acts import Drain, End
from node.elastic.machines import FleetMachine
from node.elastic.memory import Memory
from node.elastic.names import is_elastic
from node.slurm.tools import NodeState

NAMELESS_S = 60.0
"""A machine gets its name within seconds of its start; after so long without one nobody will give it one."""
LEFT_S = 15.0
"""A machine whose node is powered down, in every look for so long, has been forgotten."""
LATE_S = 60.0
"""Slurm itself gives a node up that does not answer in time; this much later its machine is ended anyway."""


def orphans(
    facts: ClusterFacts,
    nodes: Mapping[str, NodeState],
    machines: Sequence[FleetMachine],
    attempts: Collection[str],
    memory: Memory,
    now: float,
) -> Iterator[End | Drain]:
    """Yield the machines to end. `attempts` are the ids of the attempts on record."""
    owners = _owners(nodes, machines)
    for each in machines:
        if not each.alive or not each.elastic or each.launch in attempts:
            continue
        age = now - each.launched
        node = nodes.get(each.name)
        if not each.name:
            if age > NAMELESS_S:
                yield End(each, "no node was made of it")
        elif node is None or not is_elastic(facts, each.name):
            if age > NAMELESS_S:
                yield from _unwanted(node, each)
        elif owners[each.name] != each:
            yield End(each, f"{each.name} has another machine")
        elif node.flags & {"POWERED_DOWN", "POWERING_DOWN"}:
            if memory.lasted(("left", each.instance_id), now) >= LEFT_S:
                yield End(each, f"{each.name} is powered down")
        elif "POWERING_UP" in node.flags and age > facts.resume_seconds + LATE_S:
            yield End(each, f"{each.name} has not joined in time")


def _unwanted(node: NodeState | None, machine: FleetMachine) -> Iterator[End | Drain]:
    """Yield what becomes of a machine started for jobs whose name is none of those: no job of it is lost."""
    if node is None or not (node.state in ("ALLOCATED", "MIXED") or "COMPLETING" in node.flags):
        yield End(machine, f"there is no node {machine.name} for jobs")
    elif "DRAIN" not in node.flags:
        yield Drain(node.name, "its machine makes way for one that stands for good")


def _owners(nodes: Mapping[str, NodeState], machines: Sequence[FleetMachine]) -> dict[str, FleetMachine]:
    """Return the machine of each name: the one whose address Slurm has, else the youngest."""
    owners: dict[str, FleetMachine] = {}
    for each in sorted(
        (each for each in machines if each.alive and each.name), key=lambda each: each.launched
    ):
        node, other = nodes.get(each.name), owners.get(each.name)
        if other is None or node is None or node.address != other.address:
            owners[each.name] = each
    return owners
