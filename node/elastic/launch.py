"""Starts the machines of a want, all or none, however often it is begun anew; what is of no use is ended."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from node.aws import aws_errors
from node.elastic.capacity import Order, Refusal, buy, ways
from node.elastic.head import Head
from node.elastic.journal import Attempt
from node.elastic.machines import FleetMachine, end_machines, find_machines, give_names

_ADDRESS_SECONDS = 60.0
"""How long EC2's listing may lag behind what it has started."""
_LOOK_EVERY = 1.0
Tell = Callable[[Mapping[str, FleetMachine]], None]
"""Told which machines are about to become which nodes."""
_YOUNG_S = 180.0
"""A machine of that age was started for the node that Slurm wants now: Slurm asks again after its restart."""


@dataclass
class Outcome:
    """What came of an attempt."""

    placed: dict[str, FleetMachine] = field(default_factory=dict)
    """Machines by the names of their nodes, with addresses."""
    lacking: tuple[str, ...] = ()
    """Nodes without a machine: none of those wanted together is placed then."""
    refusals: tuple[Refusal, ...] = ()


def bring(head: Head, attempt: Attempt, tell: Tell) -> Outcome:
    """Start what the attempt lacks, and give each machine its name. Nothing is left over, whatever fails.

    `tell` is told of machines before they get their names: with a name they join the cluster.
    """
    try:
        outcome = _bring(head, attempt, tell)
    except BaseException:
        # Not on SIGKILL: then the keeper goes on with the attempt.
        _end_all(head, attempt, keep=())
        raise
    if outcome.lacking and attempt.want.together:
        outcome = Outcome({}, attempt.want.names, outcome.refusals)
    _end_all(head, attempt, keep=[each.instance_id for each in outcome.placed.values()])
    return outcome


def _bring(head: Head, attempt: Attempt, tell: Tell) -> Outcome:
    placed = _take_stock(head, attempt, tell)
    refusals: list[Refusal] = []
    for way in ways(head.facts.fleets[attempt.want.fleet]):
        lacking = [name for name in attempt.want.names if name not in placed]
        if not lacking:
            break
        order = _order(head, attempt, len(lacking))
        bought = buy(head.ec2, order, way)
        refusals += bought.refusals
        head.log(
            f"{attempt.launch}: {way.purchase}: {len(bought.instance_ids)} of {order.count} for "
            f"{attempt.want.fleet} {[each.code for each in bought.refusals]}"
        )
        machines = _listed(head, bought.instance_ids)
        if len(machines) < order.at_least:
            end_machines(head.ec2, bought.instance_ids)
            continue
        placed |= _settle(head, dict(zip(lacking, machines, strict=False)), tell)
    lost = tuple(name for name in attempt.want.names if name not in placed)
    return Outcome(
        {name: placed[name] for name in attempt.want.names if name in placed}, lost, tuple(refusals)
    )


def _settle(head: Head, named: dict[str, FleetMachine], tell: Tell) -> dict[str, FleetMachine]:
    """Make the machines those of the nodes."""
    if named:
        tell(named)
        give_names(head.ec2, {each.instance_id: name for name, each in named.items()})
    return named


def _order(head: Head, attempt: Attempt, count: int) -> Order:
    fleet = head.facts.fleets[attempt.want.fleet]
    on_demand = 0
    if fleet.on_demand_base:
        standing = sum(
            each.alive and each.market == "on-demand" and each.fleet == attempt.want.fleet
            for each in find_machines(head.ec2, head.environment)
        )
        on_demand = max(0, fleet.on_demand_base - standing)
    return Order(
        environment=head.environment,
        fleet=attempt.want.fleet,
        launch=attempt.launch,
        count=count,
        at_least=count if attempt.want.together else 1,
        on_demand=on_demand,
    )


def _take_stock(head: Head, attempt: Attempt, tell: Tell) -> dict[str, FleetMachine]:
    """Return the wanted nodes that have a machine already; end machines that stand in the way of a name.

    Machines that a killed attempt started and did not come to name get names here.
    """
    alive = [each for each in find_machines(head.ec2, head.environment) if each.alive and each.elastic]
    wanted = set(attempt.want.names)
    here: dict[str, FleetMachine] = {}
    for each in sorted(alive, key=lambda each: each.launch == attempt.launch):
        young = time.time() - each.launched < _YOUNG_S
        if each.name in wanted and (young or each.launch == attempt.launch):
            here[each.name] = each
    in_the_way = [each for each in alive if each.name in wanted and here.get(each.name) != each]
    end_machines(head.ec2, [each.instance_id for each in in_the_way])
    loose = [each.instance_id for each in alive if each.launch == attempt.launch and not each.name]
    lacking = [name for name in attempt.want.names if name not in here]
    if not loose or (attempt.want.together and len(loose) < len(lacking)):
        end_machines(head.ec2, loose)
        return here
    return {**here, **_settle(head, dict(zip(lacking, _listed(head, loose), strict=False)), tell)}


def _listed(head: Head, instance_ids: Iterable[str]) -> list[FleetMachine]:
    """Return the machines as soon as EC2 lists all of them with addresses; not those that have ended.

    EC2 answers a repeated order as it did the first time, whatever has become of its machines.
    """
    wanted = set(instance_ids)
    deadline = time.monotonic() + _ADDRESS_SECONDS
    while wanted:
        listed = [each for each in find_machines(head.ec2, head.environment) if each.instance_id in wanted]
        ready = [each for each in listed if each.alive and each.address]
        ended = sum(not each.alive for each in listed)
        if len(ready) + ended == len(wanted) or time.monotonic() > deadline:
            return ready
        time.sleep(_LOOK_EVERY)
    return []


def _end_all(head: Head, attempt: Attempt, keep: Iterable[str]) -> None:
    """End every machine of the attempt but these."""
    kept = set(keep)
    try:
        own = find_machines(head.ec2, head.environment, launch=attempt.launch)
        useless = [each.instance_id for each in own if each.alive and each.instance_id not in kept]
        if useless:
            head.log(f"{attempt.launch}: ending {useless}, which nothing was to run on")
            end_machines(head.ec2, useless)
    except aws_errors() as error:  # the keeper ends them: they are tagged and nobody's
        head.log(f"{attempt.launch}: what was of no use could not be ended: {error}")
