"""Keeps nodes and machines in step, called again and again by the head's resident process.

Machines that stand for good get names, nodes whose machine is gone are taken out of service at once, attempts
that a crash left are finished, and machines that nobody needs are ended.
"""

from __future__ import annotations

import dataclasses
import functools
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from node.aws import aws_errors
from node.cluster.facts import ClusterFacts, NoClusterError
from node.elastic.acts import Act, Address, Drain, End, Free, Join, Lose, Mark, PowerUp, Proved, Rest
from node.elastic.backoff import Backoff
from node.elastic.head import Head, open_head
from node.elastic.journal import Attempt, Journal
from node.elastic.machines import FleetMachine, end_machines, find_machines, give_names
from node.elastic.marks import marks
from node.elastic.memory import Memory
from node.elastic.orphans import orphans
from node.elastic.resume import serve
from node.elastic.standing import join_machines, keep_nodes
from node.idle_marks import TAG_WORK, mark
from node.slurm.tools import NodeState, SlurmError, nodes, update_node

CALM_S, BUSY_S, REFUSED_S = 3.0, 1.0, 5.0
"""Seconds until the next look: usually, after something was done, and where a look was refused."""
_FACTS_S = 60.0
"""How long the facts of the cluster are taken for true."""
_LEFT_S = 5.0
"""An attempt of that age that nobody is at work on was left by a crash."""


Some = TypeVar("Some")


class Keeper:
    """One look after the other, with what is remembered between them."""

    def __init__(self, head: Head) -> None:
        """Begin without memory."""
        self._head, self._memory = head, Memory()
        self._serving: dict[str, threading.Thread] = {}
        """Who goes on with attempts that were left, by the attempt: EC2 may take its time."""

    def refresh(self, facts: ClusterFacts) -> None:
        """Go by these facts from now on."""
        self._head = dataclasses.replace(self._head, facts=facts)

    def log(self, text: str) -> None:
        """Write a line to the head's log of machines."""
        self._head.log(f"keeper: {text}")

    def look(self) -> float:
        """Look once, do what is to be done, and return after how many seconds to look again.

        Raises SlurmError and the errors of AWS; nothing is done on half of a picture.
        """
        now, head = time.time(), self._head
        journal = Journal(head.state)
        # In this order: an attempt that ends meanwhile is on record, or its machines have their names.
        attempts = journal.unfinished()
        machines = find_machines(head.ec2, head.environment)
        known = nodes()
        acts = list(self._decide(attempts, machines, known, now))
        self._memory.end_look()
        self._do(acts)
        left = self._finish(journal, attempts, {each.name: each for each in known}, now)
        return BUSY_S if acts or left else CALM_S

    def _decide(
        self,
        attempts: Iterable[Attempt],
        machines: list[FleetMachine],
        known: list[NodeState],
        now: float,
    ) -> Iterable[Act]:
        facts, by_name = self._head.facts, {each.name: each for each in known}
        joins = list(join_machines(facts, by_name, machines))
        yield from joins
        wanted = [name for each in attempts for name in each.want.names]
        started = frozenset([*wanted, *(each.node for each in joins)])
        rests = Backoff(self._head.state).rests()
        yield from keep_nodes(facts, known, machines, started, self._memory, now, rests)
        launches = {each.launch for each in attempts}
        yield from orphans(facts, by_name, machines, launches, self._memory, now)
        yield from marks(facts, by_name, machines, self._memory, now)

    def _do(self, acts: Sequence[Act]) -> None:
        """Do what was decided, the same for many nodes at once; what is refused is decided again."""
        for act in acts:
            self.log(str(act))
        steps: list[Callable[[], object]] = [functools.partial(self._join, act) for act in of(acts, Join)]
        if told := of(acts, Address):
            addresses = ",".join(each.address for each in told)
            steps.append(lambda: update_node(_names(told), NodeAddr=addresses))
        if free := of(acts, Free):
            steps.append(lambda: update_node(_names(free), State="RESUME"))
        if coming := of(acts, PowerUp):
            steps.append(lambda: update_node(_names(coming), State="POWER_UP"))
        ended = [each.machine.instance_id for each in of(acts, End)]
        if ended:
            steps.append(lambda: end_machines(self._head.ec2, ended))
        lost: dict[str, list[Lose]] = {}
        for each in of(acts, Lose):
            lost.setdefault(each.reason, []).append(each)
        steps += [functools.partial(_lose, _names(found), reason) for reason, found in lost.items()]
        steps += [functools.partial(_drain, each) for each in of(acts, Drain)]
        steps += [
            functools.partial(mark, self._head.ec2, ids, TAG_WORK, value)
            for value, ids in _marked(of(acts, Mark)).items()
        ]
        steps.append(functools.partial(self._judge, of(acts, Rest), of(acts, Proved)))
        for step in steps:
            try:
                step()
            except _refusals() as error:
                self.log(f"{type(error).__name__}: {error}")

    def _join(self, act: Join) -> None:
        """Announce a machine that stands, then name it: it joins the cluster as soon as it has its name."""
        update_node(act.node, NodeAddr=act.machine.address)
        update_node(act.node, State="POWER_UP")
        give_names(self._head.ec2, {act.machine.instance_id: act.node})

    def _judge(self, rests: Iterable[Rest], proved: Iterable[Proved]) -> None:
        """Write down which fleets' machines do not work, and which do."""
        backoff = Backoff(self._head.state)
        for fleet in {each.fleet for each in proved}:
            backoff.proved(fleet)
        for rest in {each.fleet: each for each in rests}.values():  # those of one look are one failure
            self.log(backoff.rest(rest.fleet, rest.reason, forgiven=rest.forgiven).message)

    def _finish(
        self, journal: Journal, attempts: Iterable[Attempt], known: dict[str, NodeState], now: float
    ) -> bool:
        """Go on with attempts that a crash left, if Slurm still waits; return whether there were any."""
        self._serving = {launch: each for launch, each in self._serving.items() if each.is_alive()}
        left = [
            each
            for each in attempts
            if now - each.began > _LEFT_S and each.launch not in self._serving and not journal.is_taken(each)
        ]
        for each in left:
            waiting = all(name in known and "POWERING_UP" in known[name].flags for name in each.want.names)
            self.log(f"{each.launch} was left: {'goes on' if waiting else 'given up'}")
            if waiting:
                thread = threading.Thread(target=serve, args=(self._head, each.want), daemon=True)
                self._serving[each.launch] = thread
                thread.start()
            else:
                journal.give_up(each)  # its machines are nobody's then, and ended
        return bool(left)


def of(acts: Iterable[Act], kind: type[Some]) -> list[Some]:
    """Return the acts of that kind."""
    return [each for each in acts if isinstance(each, kind)]


def _names(acts: Iterable[Join | Address | PowerUp | Lose | Free]) -> str:
    return ",".join(each.node for each in acts)


def _marked(acts: Iterable[Mark]) -> dict[str, list[str]]:
    """Return the machines by what they are to say."""
    found: dict[str, list[str]] = {}
    for each in acts:
        found.setdefault(each.value, []).append(each.instance_id)
    return found


def _lose(names: str, reason: str) -> None:
    # Down first: Slurm waits for no answer of a node that is down, its jobs start elsewhere.
    update_node(names, State="DOWN", Reason=reason)
    update_node(names, State="POWER_DOWN")


def _drain(act: Drain) -> None:
    update_node(act.node, State="DRAIN", Reason=act.reason)


def _refusals() -> tuple[type[Exception], ...]:
    return (SlurmError, NoClusterError, OSError, *aws_errors())


def _renew(keeper: Keeper) -> None:
    """Read the facts anew; where they cannot be had, those that are known do: machines cost all the same."""
    try:
        keeper.refresh(open_head().facts)
    except _refusals() as error:
        keeper.log(f"{type(error).__name__}: {error}")


_keeper: Keeper | None = None
_facts_at = 0.0


def tick() -> float:
    """Look once; return after how many seconds to call again. What Slurm or AWS refuses is logged alone."""
    global _keeper, _facts_at
    try:
        if _keeper is None:
            _keeper = Keeper(open_head())
            _facts_at = time.monotonic()
        elif time.monotonic() - _facts_at > _FACTS_S:
            _facts_at = time.monotonic()
            _renew(_keeper)
        return _keeper.look()
    except _refusals() as error:
        if _keeper is not None:
            _keeper.log(f"{type(error).__name__}: {error}")
        return REFUSED_S
