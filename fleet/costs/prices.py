"""What an hour of a machine costs, exact, and where that is from: AWS's list, or the dated catalogue."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from fleet.costs.amounts import exact
from fleet.costs.price_list import PriceList
from stacks.catalog import HOURS_PER_MONTH, load_catalog, load_other_prices
from stacks.environment import EnvironmentSpec


@dataclass(frozen=True)
class Prices:
    """Prices of one region."""

    region: str
    listed: PriceList | None
    """What AWS's Price List says, where it was asked; what it lacks is the catalogue's."""

    def of_type(self, instance_type: str) -> Fraction | None:
        """Return the price of an hour on demand, None where neither knows the type."""
        if self.listed is not None and instance_type in self.listed.usd_per_hour:
            return exact(self.listed.usd_per_hour[instance_type])
        known = load_catalog().get(instance_type)
        return None if known is None else exact(known.price_usd_per_hour)

    def of_machine(self, spec: EnvironmentSpec, fleet: str, instance_type: str) -> Fraction | None:
        """Return the price of an hour with the disk that its fleet declares; "" is the head."""
        hourly = self.of_type(instance_type)
        declared = spec.fleets.get(fleet, spec.head) if fleet else spec.head
        disk = exact(load_other_prices()["ebs_gp3"].usd) * declared.root_volume_gib / HOURS_PER_MONTH
        return None if hourly is None else hourly + disk

    @property
    def notes(self) -> tuple[str, ...]:
        """Where the prices are from, a sentence each."""
        other = load_other_prices()["ebs_gp3"]
        beside = f"disks and what else stands: {other.source}, {other.region}, {other.date}"
        if self.listed is not None:
            asked = f"machines: AWS Price List API, {self.region}, asked on {self.listed.date}"
            return (f"{asked}; what it lacks: the catalogue of fleetform", beside)
        return (f"machines: {_catalogue(self.region)}", beside)


def _catalogue(region: str) -> str:
    dates: Mapping[str, datetime.date] = {each.name: each.price_date for each in load_catalog().values()}
    some = next(iter(load_catalog().values()))
    first, last = min(dates.values()), max(dates.values())
    when = f"{last}" if first == last else f"{first} to {last}"
    text = f"the catalogue of fleetform, list prices of {some.price_region}, {when}"
    return text if some.price_region == region else f"{text}; those of {region} may differ"
