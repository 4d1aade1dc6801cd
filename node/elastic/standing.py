"""Decides what becomes of nodes, given their machines: names, addresses, and nodes whose machine is gone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from node.cluster.facts import ClusterFacts
from node.elastic.acts import Act, Address, End, Free, Join, Lose, PowerUp
from node.elastic.machines import FleetMachine
from node.elastic.memory import Memory
from node.elastic.names import is_elastic, standing_names
from node.slurm.tools import NodeState

HEALTH = "health:"
"""Beginning of the reason for which a node's own checks have drained it."""
_UNSEEN_S = 2.0
"""A machine that EC2 does not list for so long, in two looks, is gone; a listing may lag."""
_UNSTARTED_S = 60.0
"""A node that Slurm waits for, and that nobody starts, is given up after so long."""
_JOINABLE = frozenset({"POWERED_DOWN", "POWERING_UP"})
"""A node gets a machine only once Slurm has done with the one before."""


def join_machines(
    facts: ClusterFacts, nodes: Mapping[str, NodeState], machines: Iterable[FleetMachine]
) -> Iterator[Join]:
    """Yield a node for each machine that stands for good and has none yet: the lowest number that is free."""
    alive = [each for each in machines if each.alive]
    taken = {each.name for each in alive if each.name}
    for each in sorted(alive, key=lambda each: (each.launched, each.instance_id)):
        if each.elastic or each.name or not each.address or each.fleet not in facts.fleets:
            continue
        free = (
            name
            for name in standing_names(facts, each.fleet)
            if name not in taken and name in nodes and nodes[name].flags & _JOINABLE
        )
        if name := next(free, ""):
            taken.add(name)
            yield Join(name, each)


def keep_nodes(
    facts: ClusterFacts,
    nodes: Sequence[NodeState],
    machines: Sequence[FleetMachine],
    started: frozenset[str],
    memory: Memory,
    now: float,
) -> Iterator[Act]:
    """Yield what nodes need, given the machines that bear their names.

    `started` are the nodes that somebody is at work on.
    """
    alive = {each.name: each for each in machines if each.alive and each.name}
    ended = {each.name: each for each in machines if not each.alive and each.name}
    for node in nodes:
        machine = alive.get(node.name)
        if node.name in started:
            continue
        if machine is None:
            yield from _without(facts, node, ended.get(node.name), memory, now)
        elif not node.flags & {"POWERING_DOWN", "POWER_DOWN"}:
            yield from _with(facts, node, machine)


def _with(facts: ClusterFacts, node: NodeState, machine: FleetMachine) -> Iterator[Act]:
    """Yield what a node with a machine needs."""
    if machine.address and node.address != machine.address:
        yield Address(node.name, machine.address)
    if "POWERED_DOWN" in node.flags and not is_elastic(facts, node.name):
        if node.state == "DOWN":
            yield Free(node.name)
        yield PowerUp(node.name)
    if "DRAIN" in node.flags and node.state == "IDLE" and node.reason.startswith(HEALTH):
        # The group of a node that stands for good starts another.
        yield End(machine, node.reason)
        yield Lose(node.name, node.reason)


def _without(
    facts: ClusterFacts, node: NodeState, ended: FleetMachine | None, memory: Memory, now: float
) -> Iterator[Act]:
    """Yield what a node without a machine needs."""
    if "POWERING_DOWN" in node.flags:
        yield Free(node.name)  # there is nothing left to wait for
    if "POWERED_DOWN" in node.flags and (node.state == "DOWN" or "DRAIN" in node.flags):
        yield Free(node.name)
    if node.flags & {"POWERED_DOWN", "POWERING_DOWN", "POWER_DOWN"}:
        return
    unseen = memory.lasted(("unseen", node.name), now)
    if "POWERING_UP" in node.flags:
        # One that stands for good comes when its group finds capacity; Slurm's own timeout ends the wait.
        if is_elastic(facts, node.name) and unseen >= _UNSTARTED_S:
            yield Lose(node.name, "nobody starts its machine")
    elif ended is not None:
        yield Lose(node.name, f"its machine {ended.instance_id} is gone")
    elif unseen >= _UNSEEN_S:
        yield Lose(node.name, "its machine is gone")
