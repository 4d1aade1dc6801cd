"""Decides what becomes of nodes, given their machines: names, addresses, and nodes whose machine is gone."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence

from node.cluster.facts import ClusterFacts
from node.elastic.acts import Act, Address, End, Free, Join, Lose, PowerUp, Proved, Rest
from node.elastic.backoff import Held
from node.elastic.machines import FleetMachine
from node.elastic.memory import Memory
from node.elastic.names import fleet_of, is_elastic, standing_names
from node.elastic.orphans import LATE_S
from node.health.reasons import HEALTH
from node.slurm.tools import NodeState

SICK = (
    HEALTH,
    "Kill task failed",
    "Low CPUs",
    "Low RealMemory",
    "Low TmpDisk",
    "Low socket*core*thread count",
    "Prolog error",
    "Epilog error",
    "batch job complete failure",
    "gres/gpu count",
)
"""Beginnings of the reasons for which nodes drain themselves or Slurm does; what a person drains stays."""
_FORGIVEN = 1
"""One sick machine is an accident; where the next one is sick too, its fleet rests before another is had."""
_PROVED_S = 400.0
"""A machine that has had jobs for so long has passed its checks: longer than prologs may take, slurm.conf."""
_UNSEEN_S, _SILENT_S = 30.0, 2.0
"""A machine that EC2 does not list for so long is gone, the shorter where its node does not answer either.

Listings lag behind by seconds, https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html.
"""
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
    rests: Mapping[str, Held] | None = None,
) -> Iterator[Act]:
    """Yield what nodes need, given the machines that bear their names.

    `started` are the nodes that somebody is at work on, `rests` tells of fleets whose machines did not work.
    """
    rests = rests or {}
    alive = {each.name: each for each in machines if each.alive and each.name}
    ended = {each.instance_id for each in machines if not each.alive and each.name}
    unseen: list[NodeState] = []
    for node in nodes:
        machine = alive.get(node.name)
        if node.flags & _JOINABLE:
            memory.in_service.pop(node.name, None)
        elif machine is not None:
            memory.in_service[node.name] = machine.instance_id
        if node.name in started:
            continue
        if machine is None:
            gone = memory.in_service.get(node.name, "")
            vanished = yield from _without(facts, node, gone if gone in ended else "", memory, now)
            unseen += [node] if vanished else []
            continue
        rest = rests.get(fleet_of(node.name))
        if not is_elastic(facts, node.name):
            yield from _late(facts, node, machine, memory, now, rest)
        if not node.flags & {"POWERING_DOWN", "POWER_DOWN"}:
            yield from _with(facts, node, machine)
            yield from _sick(facts, node, machine, memory, now, rest)
            yield from _working(node, machine, memory, now, rest)
    in_service = len({*memory.in_service, *(node.name for node in unseen)})
    yield from _lost(unseen, in_service, memory, now)


def _late(
    facts: ClusterFacts,
    node: NodeState,
    machine: FleetMachine,
    memory: Memory,
    now: float,
    rest: Held | None,
) -> Iterator[Act]:
    """End a machine that stands for good and whose node never answers: its group starts another."""
    waits = node.flags & {"POWERED_DOWN", "POWERING_UP", "POWERING_DOWN"}
    if not waits and not (node.state == "DOWN" and node.reason.startswith("ResumeTimeout")):
        return
    late = memory.lasted(("late", machine.instance_id), now) >= facts.resume_seconds + LATE_S
    if late and not _resting(rest, now):
        reason = f"{node.name} has not joined in time"
        yield End(machine, reason)
        yield Rest(machine.fleet, reason, 0)


def _working(
    node: NodeState, machine: FleetMachine, memory: Memory, now: float, rest: Held | None
) -> Iterator[Proved]:
    """Tell of a machine that was started after others of its fleet did not work, and does."""
    if node.state not in ("ALLOCATED", "MIXED") or node.flags & {"POWERING_UP", "DRAIN"}:
        return
    lasted = memory.lasted(("works", machine.instance_id), now) >= _PROVED_S
    if lasted and rest is not None and machine.launched > rest.began:
        yield Proved(machine.fleet)


def _resting(rest: Held | None, now: float) -> bool:
    return rest is not None and rest.until > now


def _with(facts: ClusterFacts, node: NodeState, machine: FleetMachine) -> Iterator[Act]:
    """Yield what a node with a machine needs."""
    if machine.address and node.address != machine.address:
        yield Address(node.name, machine.address)
    if "POWERED_DOWN" in node.flags and not is_elastic(facts, node.name):
        if node.state == "DOWN":
            yield Free(node.name)
        yield PowerUp(node.name)


def _sick(
    facts: ClusterFacts,
    node: NodeState,
    machine: FleetMachine,
    memory: Memory,
    now: float,
    rest: Held | None,
) -> Iterator[Act]:
    """Replace a machine that is not fit for jobs, once it has none; after several its fleet rests."""
    if "DRAIN" not in node.flags or not node.reason.startswith(SICK):
        return
    if memory.lasted(("sick", machine.instance_id), now) == 0:  # before Slurm starts its job elsewhere
        yield Rest(machine.fleet, f"{node.name} is not fit for jobs ({node.reason})", _FORGIVEN)
    # The group of a node that stands for good starts another at once: it is kept while its fleet rests.
    kept = _resting(rest, now) and not is_elastic(facts, node.name)
    if node.state == "IDLE" and "COMPLETING" not in node.flags and not kept:
        yield End(machine, node.reason)
        yield Lose(node.name, node.reason)


def _without(
    facts: ClusterFacts, node: NodeState, gone: str, memory: Memory, now: float
) -> Generator[Act, None, bool]:
    """Yield what a node without a machine needs; `gone` is the one that it had, where EC2 has ended it.

    Returns whether the node should have a machine and nothing tells why there is none.
    """
    if "POWERING_DOWN" in node.flags:
        yield Free(node.name)  # there is nothing left to wait for
    if "POWERED_DOWN" in node.flags and (node.state == "DOWN" or "DRAIN" in node.flags):
        yield Free(node.name)
    if node.flags & {"POWERED_DOWN", "POWERING_DOWN", "POWER_DOWN"}:
        return False
    if "POWERING_UP" in node.flags:
        # One that stands for good comes when its group finds capacity; Slurm's own timeout ends the wait.
        unstarted = memory.lasted(("unstarted", node.name), now)
        if is_elastic(facts, node.name) and unstarted >= _UNSTARTED_S:
            yield Lose(node.name, "nobody starts its machine")
        return False
    if gone:
        yield Lose(node.name, f"its machine {gone} is gone")
    return not gone


def _lost(unseen: Sequence[NodeState], in_service: int, memory: Memory, now: float) -> Iterator[Lose]:
    """Yield the nodes whose machines are gone, of those that EC2 does not list: a listing may lag.

    Where it lacks most of the cluster at once, only nodes that Slurm misses too are lost.
    """
    for node in unseen:
        lasted, silent = memory.lasted(("unseen", node.name), now), "NOT_RESPONDING" in node.flags
        believed = silent or len(unseen) == 1 or len(unseen) <= in_service / 2
        if believed and lasted >= (_SILENT_S if silent else _UNSEEN_S):
            yield Lose(node.name, "its machine is gone")
