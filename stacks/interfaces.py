"""Network interfaces of a fleet's nodes: on which cards, with which adapters, for how many addresses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from stacks.catalog import InstanceType, load_catalog
from stacks.fleet_spec import FleetSpec

Kind = Literal["interface", "efa", "efa-only"]
"""`efa` is an adapter with an ordinary interface on top, `efa-only` one without, which takes no address."""


@dataclass(frozen=True)
class Interface:
    """One network interface of a node."""

    card: int
    device: int
    """Number of the interface on its card."""
    kind: Kind


def gets_efa(fleet: FleetSpec) -> bool:
    """Return whether the nodes get fabric adapters: their type has them, and none crosses a zone."""
    found = load_catalog().get(fleet.instance_type)
    return fleet.efa and fleet.placement == "together" and found is not None and found.efa_interfaces > 0


def interfaces(fleet: FleetSpec) -> tuple[Interface, ...]:
    """Return the interfaces of each node: every adapter that its type has, or one ordinary interface.

    The layout is the EC2 user guide's, "Maximize network bandwidth on instances with multiple network cards".
    """
    if not gets_efa(fleet):
        return (Interface(0, 0, "interface"),)
    found = load_catalog()[fleet.instance_type]
    return _adapters_alone(found) if found.efa_only else _adapters_with_addresses(found)


def addresses(fleet: FleetSpec) -> int:
    """Return how many addresses of its subnet each node takes."""
    return sum(each.kind != "efa-only" for each in interfaces(fleet))


def _adapters_with_addresses(found: InstanceType) -> tuple[Interface, ...]:
    """Return an adapter on each card: device 0 on the first, device 1 on all others, as p4d and trn1 ask."""
    return tuple(Interface(card, 0 if card == 0 else 1, "efa") for card in range(found.efa_interfaces))


def _adapters_alone(found: InstanceType) -> tuple[Interface, ...]:
    """Return one interface with an address, and on every card that takes one an adapter without.

    The primary interface cannot be `efa-only`, so the first card's adapter is its second device. A type with
    a card more than adapters (p6-b300) has none on the first.
    """
    first = found.network_cards - found.efa_interfaces
    cards = range(first, found.network_cards)
    return (
        Interface(0, 0, "interface"),
        *(Interface(card, 1 if card == 0 else 0, "efa-only") for card in cards),
    )
