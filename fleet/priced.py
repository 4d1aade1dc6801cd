"""Resources and their prices as values: what `fleet/estimate.py` reads, and the items that it gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

from fleet.kinds import kind_of
from stacks.catalog import Price, load_other_prices, load_use_prices


class Resource(NamedTuple):
    """One resource of a stack."""

    kind: str
    """Terraform's type: `aws_vpc`."""
    name: str
    """Its name in the stack."""
    values: Mapping[str, Any]
    """Its arguments as synthesized, or its attributes as a state or a plan has them."""

    @property
    def address(self) -> str:
        """Its address in Terraform."""
        return f"{self.kind}.{self.name}"


@dataclass(frozen=True, kw_only=True)
class Item:
    """One thing that costs money."""

    address: str
    room: str
    what: str
    """In plain words: "2 interface endpoints"."""
    usd_per_hour_running: float | None
    """While fleets run as declared; None where it depends on use."""
    usd_per_hour_idle: float | None
    usd_per_hour_at_most: float | None
    basis: str
    """How it is reckoned: "on demand", "spot: at most the on-demand price", "by use", ..."""
    unit_usd: float | None = None
    """The catalog's price of one."""
    per: str = ""
    """`hour`, `month` or `use`."""
    of: str = ""
    """What one of it is."""
    region: str = ""
    """The price's region, date and source."""
    date: str = ""
    source: str = ""
    not_priced: str = ""
    """Why it has no price, "" for an item that has one."""

    @classmethod
    def unpriced(cls, resource: Resource, why: str) -> Self:
        """Return the item of something that nobody can price, for this reason."""
        kind = kind_of(resource.kind)
        return cls(
            address=resource.address, room=kind.room, what=kind.noun, usd_per_hour_running=None,
            usd_per_hour_idle=None, usd_per_hour_at_most=None, basis="not priced", not_priced=why,
        )  # fmt: skip

    @classmethod
    def standing(
        cls,
        resource: Resource,
        what: str,
        price: str,
        amount: float = 1.0,
        basis: str = "as long as it stands",
    ) -> Self:
        """Return the item of something that costs the same whether fleets run or not."""
        found = load_other_prices()[price]
        hourly = found.usd_per_hour(amount)
        return cls(
            address=resource.address, room=kind_of(resource.kind).room, what=what,
            usd_per_hour_running=hourly, usd_per_hour_idle=hourly, usd_per_hour_at_most=hourly,
            basis=basis, **source_of(found),
        )  # fmt: skip


def source_of(price: Price) -> dict[str, Any]:
    """Return an item's fields that say where its price is from."""
    return {
        "unit_usd": price.usd,
        "per": price.per,
        "of": price.of,
        "region": price.region,
        "date": price.date.isoformat(),
        "source": price.source,
    }


def find_price(name: str) -> Price:
    """Return a price of the catalog: of something that stands, or of something that is used."""
    return load_other_prices().get(name) or load_use_prices()[name]


def blocks(values: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    """Return the nested blocks of a name: a configuration may write one as an object, a state has lists."""
    found = values.get(key)
    if isinstance(found, Mapping):
        return [found]
    return [each for each in found or () if isinstance(each, Mapping)]


def block(values: Mapping[str, Any], *path: str) -> Mapping[str, Any]:
    """Return the first nested block at a path of names, empty where there is none."""
    for key in path:
        values = next(iter(blocks(values, key)), {})
    return values


def number(value: object, default: float = 0.0) -> float:
    """Return a number that may be written as text; the default for a reference or nothing."""
    try:
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return default


def counted(count: float, one: str, many: str = "") -> str:
    """Return "1 node" or "3 nodes"."""
    return f"{count:g} {one if count == 1 else many or one + 's'}"
