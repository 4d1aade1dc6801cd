"""What machines have and what things cost: the instance catalog, with where each price is from."""

from __future__ import annotations

import datetime
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

CATALOG_FILE = Path(__file__).parent / "instance_catalog.toml"
HOURS_PER_MONTH = 730
"""The month in which AWS's monthly prices are reckoned: 365 days of 24 hours in twelve parts."""


@dataclass(frozen=True, kw_only=True)
class InstanceType:
    """One EC2 instance type."""

    name: str
    vcpus: int
    memory_gib: float
    network_gbps: float
    """Peak network bandwidth in Gbit/s."""
    quota_family: str
    """The quota "Running On-Demand <family> instances" that counts its vCPUs."""
    price_usd_per_hour: float
    """List price on demand for Linux, without tax."""
    price_region: str
    price_date: datetime.date
    """The day on which the price was that."""
    price_source: str
    gpus: int = 0
    """NVIDIA GPUs."""
    gpu_model: str = ""
    gpu_memory_gib: float = 0
    """Nominal memory of one GPU."""
    neuron_devices: int = 0
    """AWS's own accelerators (Trainium), which are no GPUs."""
    network_cards: int = 1
    efa_interfaces: int = 0
    """Elastic Fabric Adapters at most, one on each network card; 0 where the type has none."""
    efa_only: bool = False
    """Whether all adapters but the first are taken without an address of their own."""
    disks: int = 0
    """Local NVMe disks (instance store)."""
    disk_gb: int = 0
    """Size of one of them."""
    capacity_blocks: bool = False
    """Whether EC2 sells the type in capacity blocks."""
    on_demand: bool = True
    """False where EC2 sells the type in capacity blocks alone; the price is then the rate of a block."""

    @property
    def family(self) -> str:
        """What stands before the dot: `p5en` of `p5en.48xlarge`."""
        return self.name.partition(".")[0]


@dataclass(frozen=True, kw_only=True)
class Price:
    """What one of something costs."""

    name: str
    usd: float
    per: str
    """"hour" or "month" as long as it stands, "use" for what costs by use alone."""
    of: str
    """What one of it is: "GB", "key", "endpoint and zone"."""
    region: str
    date: datetime.date
    source: str

    def usd_per_hour(self, amount: float = 1) -> float:
        """Return what `amount` of it costs an hour; what costs by use has no such price."""
        assert self.per != "use", self.name
        return self.usd * amount / (HOURS_PER_MONTH if self.per == "month" else 1)


@lru_cache(maxsize=1)
def _tables() -> dict[str, dict[str, Any]]:
    return tomllib.loads(CATALOG_FILE.read_text(encoding="utf-8"))


@lru_cache(maxsize=1)
def load_catalog() -> Mapping[str, InstanceType]:
    """Return every instance type of the catalog by its name."""
    tables = _tables()
    types = {
        name: InstanceType(name=name, **{**tables["instances_source"], **row})
        for name, row in tables["instances"].items()
    }
    return MappingProxyType(types)


@lru_cache(maxsize=1)
def load_other_prices() -> Mapping[str, Price]:
    """Return the prices of all that is no instance, by a name such as `interface_endpoint` or `ebs_gp3`."""
    tables = _tables()
    region, date = tables["source"]["price_region"], tables["source"]["price_date"]
    prices = {
        name: Price(name=name, region=region, date=date, **row) for name, row in tables["other"].items()
    }
    return MappingProxyType(prices)


@lru_cache(maxsize=1)
def load_use_prices() -> Mapping[str, Price]:
    """Return the prices of what costs by use alone, by a name such as `nat_gateway_data`."""
    tables = _tables()
    region, date = tables["source"]["price_region"], tables["source"]["price_date"]
    prices = {
        name: Price(name=name, per="use", region=region, date=date, **row)
        for name, row in tables["by_use"].items()
    }
    return MappingProxyType(prices)


def known_regions() -> tuple[str, ...]:
    """Return the names of AWS's commercial regions."""
    return tuple(_tables()["regions"]["known"])


def family_regions(family: str) -> tuple[str, ...]:
    """Return the regions that were seen to have types of the family; none where nobody looked."""
    return tuple(_tables()["family_regions"].get(family, ()))
