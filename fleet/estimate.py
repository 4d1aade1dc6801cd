"""What a list of resources costs: running as declared, idle and at most, by item, and what has no price.

Pure: it reads a stack's synthesized configuration (or the values of a state), asks no cloud, and takes every
price from `stacks/instance_catalog.toml`. What depends on use is named with its price by use; what the
catalog has no price for is named as not priced, never left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from fleet.kinds import ROOMS, kind_of
from fleet.machine_prices import ELASTIC_NODES, elastic_item, machine_items
from fleet.price_rules import BY_USE, FREE, RULES, by_use_item
from fleet.priced import Item, Resource
from stacks.catalog import load_catalog

HOURS_PER_DAY = 24


@dataclass(frozen=True)
class Estimate:
    """The cost of a list of resources at list price, in US dollars without tax."""

    region: str
    """Where the resources stand."""
    items: tuple[Item, ...]
    """What costs money, by room, then dearest first; what depends on use is among them."""
    not_priced: tuple[str, ...]
    """What may cost money but has no price here: address and reason."""

    @property
    def usd_per_hour_running(self) -> float:
        """While every fleet runs as many nodes as it is declared with."""
        return sum(item.usd_per_hour_running or 0.0 for item in self.items)

    @property
    def usd_per_hour_idle(self) -> float:
        """While every fleet is at its smallest, which is no node."""
        return sum(item.usd_per_hour_idle or 0.0 for item in self.items)

    @property
    def usd_per_hour_at_most(self) -> float:
        """While every fleet has as many nodes as it may grow to."""
        return sum(item.usd_per_hour_at_most or 0.0 for item in self.items)

    @property
    def usd_per_day_idle(self) -> float:
        """A day of standing there and doing nothing."""
        return self.usd_per_hour_idle * HOURS_PER_DAY

    @property
    def usd_per_day_at_most(self) -> float:
        """A day with every fleet as large as it may grow."""
        return self.usd_per_hour_at_most * HOURS_PER_DAY

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader must know of the prices: where they are from, and of which region."""
        some = next(iter(load_catalog().values()))
        priced = sorted({item.region for item in self.items if item.region}) or [some.price_region]
        dates = sorted({item.date for item in self.items if item.date}) or [some.price_date.isoformat()]
        when = f"on {dates[0]}" if len(dates) == 1 else f"between {dates[0]} and {dates[-1]}"
        found = [f"list prices of {', '.join(priced)} {when}, without tax or discount"]
        if priced != [self.region]:
            found.append(f"the catalog has no prices of {self.region}, which may differ")
        return tuple(found)

    def to_dict(self) -> dict[str, Any]:
        """Return everything, the sums too, as JSON has it; sums are rounded to a millionth of a dollar."""
        sums = {
            "usd_per_hour_running": self.usd_per_hour_running,
            "usd_per_hour_idle": self.usd_per_hour_idle,
            "usd_per_hour_at_most": self.usd_per_hour_at_most,
            "usd_per_day_idle": self.usd_per_day_idle,
            "usd_per_day_at_most": self.usd_per_day_at_most,
        }
        return {
            **{name: round(value, 6) for name, value in sums.items()},
            "region": self.region,
            "items": [asdict(item) for item in self.items],
            "not_priced": list(self.not_priced),
            "notes": list(self.notes),
        }


def estimate(resources: Iterable[Resource], region: str) -> Estimate:
    """Return what the resources cost in the region; `resources_of` reads them from a configuration."""
    listed = list(resources)
    items = [item for resource in listed for item in _items(resource, listed)]
    order = {room: number for number, room in enumerate(ROOMS)}
    items.sort(key=lambda item: (order[item.room], -(item.usd_per_hour_at_most or 0.0), item.address))
    return Estimate(
        region=region,
        items=tuple(item for item in items if not item.not_priced),
        not_priced=tuple(f"{item.address}: {item.not_priced}" for item in items if item.not_priced),
    )


def resources_of(configuration: Mapping[str, Any]) -> Iterator[Resource]:
    """Yield the resources of one stack's synthesized configuration (`cdk.tf.json`)."""
    for kind, named in configuration.get("resource", {}).items():
        for name, values in named.items():
            yield Resource(kind, name, values)


def _items(resource: Resource, listed: list[Resource]) -> Iterator[Item]:
    if resource.kind == ELASTIC_NODES:
        yield elastic_item(resource)
    if not resource.kind.startswith("aws_"):  # Terraform's own, `terraform_data`
        return
    if resource.kind == "aws_autoscaling_group":
        yield from machine_items(resource, listed)
    elif rule := RULES.get(resource.kind):
        yield from rule(resource)
    elif names := BY_USE.get(resource.kind):
        yield by_use_item(resource, names)
    elif resource.kind not in FREE:
        noun = kind_of(resource.kind).noun
        yield Item.unpriced(resource, f"the catalog has no price for a {noun} ({resource.kind})")
