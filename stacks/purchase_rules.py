"""The guardrails on how fleets are bought: on demand, spot, or out of capacity reserved beforehand."""

from __future__ import annotations

from collections.abc import Iterator

from stacks.case import Case, Rule
from stacks.catalog import load_catalog
from stacks.problems import Problem

RESERVED_WORD = {"capacity_reservation": "a capacity reservation", "capacity_block": "a capacity block"}


def reserved_fleets_name_their_reservation(case: Case) -> Iterator[Problem]:
    """A fleet out of reserved capacity names the reservation, and no other fleet names one."""
    for name, fleet in case.spec.fleets.items():
        if fleet.reserved and not fleet.reservation:
            yield case.problem(
                f"fleets.{name}.reservation",
                f"the nodes are to come out of {RESERVED_WORD[fleet.purchase]}, and none is named",
                "write its id, such as cr-0123456789abcdef0",
            )
        if fleet.reservation and not fleet.reserved:
            yield case.problem(
                f"fleets.{name}.reservation",
                f"{fleet.reservation} is named, and the nodes are bought outside of it (`{fleet.purchase}`)",
                'set `purchase` to "capacity_reservation" or "capacity_block", or leave the id out',
            )


def reserved_fleets_stand_together(case: Case) -> Iterator[Problem]:
    """A fleet out of reserved capacity stands together: a reservation lies in one zone."""
    for name, fleet in case.spec.fleets.items():
        if fleet.reserved and fleet.placement == "spread":
            yield case.problem(
                f"fleets.{name}.placement",
                f"{RESERVED_WORD[fleet.purchase]} lies in one zone, and the fleet is spread over all",
                'set it to "together", and `zone` to the zone of the reservation',
            )


def types_are_sold_as_bought(case: Case) -> Iterator[Problem]:
    """EC2 sells the type in the way that the fleet is bought: capacity blocks or otherwise."""
    for name, fleet in case.spec.fleets.items():
        found = load_catalog().get(fleet.instance_type)
        if found is None:
            continue
        if fleet.purchase == "capacity_block" and not found.capacity_blocks:
            sold = sorted({each.family for each in load_catalog().values() if each.capacity_blocks})
            yield case.problem(
                f"fleets.{name}.purchase",
                f"EC2 sells no {found.name} in capacity blocks",
                f"take a type of {', '.join(sold)}, or buy it otherwise",
            )
        if fleet.purchase in ("on_demand", "spot") and not found.on_demand:
            yield case.problem(
                f"fleets.{name}.purchase",
                f"EC2 sells {found.name} in capacity blocks alone",
                'buy a block and set `purchase` to "capacity_block", or take another type',
            )


def on_demand_base_within_max_nodes(case: Case) -> Iterator[Problem]:
    """No fleet buys more nodes on demand than it may grow to."""
    for name, fleet in case.spec.fleets.items():
        if fleet.purchase == "spot" and fleet.on_demand_base > fleet.max_nodes:
            yield case.problem(
                f"fleets.{name}.on_demand_base",
                f"{fleet.on_demand_base} nodes on demand where max_nodes is {fleet.max_nodes}",
                f"lower it below {fleet.max_nodes}, so that some are spot, or raise max_nodes",
            )


def on_demand_base_has_an_effect(case: Case) -> Iterator[Problem]:
    """`on_demand_base` is given with `spot` alone."""
    for name, fleet in case.spec.fleets.items():
        if fleet.on_demand_base and fleet.purchase != "spot":
            yield case.problem(
                f"fleets.{name}.on_demand_base",
                f"on_demand_base has no effect: no node is spot where `purchase` is `{fleet.purchase}`",
                'leave it out, or set `purchase` to "spot"',
            )


def spot_nodes_that_talk_save_their_work(case: Case) -> Iterator[Problem]:
    """Nodes that stand together for runs on several are not spot: the end of one ends the run."""
    for name, fleet in case.spec.fleets.items():
        if fleet.purchase == "spot" and fleet.placement == "together" and fleet.max_nodes > 1:
            yield case.problem(
                f"fleets.{name}.purchase",
                "EC2 may end any spot node at two minutes' notice, and a run on several nodes then loses all "
                "since its last checkpoint",
                "run what writes checkpoints, as every recipe does; or buy the fleet on demand",
            )


def reservations_give_no_placement_group(case: Case) -> Iterator[Problem]:
    """Reserved nodes are as close as the reservation was made: they get no placement group of the fleet's."""
    for name, fleet in case.spec.fleets.items():
        asked = "placement" in fleet.model_fields_set and fleet.placement == "together"
        if fleet.purchase == "capacity_reservation" and asked and fleet.max_nodes > 1:
            yield case.problem(
                f"fleets.{name}.placement",
                f"`together` gives this fleet one zone, but no placement group: {fleet.reservation or 'it'} "
                "has its place already, and a new group would find no capacity in it",
                "leave it out; for nodes that are close, make the reservation so, or buy a capacity block",
            )


PURCHASE_ERRORS: tuple[Rule, ...] = (
    reserved_fleets_name_their_reservation,
    reserved_fleets_stand_together,
    types_are_sold_as_bought,
    on_demand_base_within_max_nodes,
)
"""Rules on purchases whose findings stop every act that builds."""
PURCHASE_WARNINGS: tuple[Rule, ...] = (
    on_demand_base_has_an_effect,
    spot_nodes_that_talk_save_their_work,
    reservations_give_no_placement_group,
)
"""Rules on purchases whose findings are told, and stop nothing."""
