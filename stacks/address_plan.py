"""How the addresses of an environment's subnets are used, and how many more nodes each subnet holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from stacks.environment import EnvironmentSpec
from stacks.fleet_spec import FleetSpec
from stacks.interfaces import addresses
from stacks.lustre_sizes import SMALLEST_GIB

SMALLEST_PREFIX = 24
"""The smallest block that is cut into subnets; below, they would hold next to nothing."""
AWS_RESERVED_ADDRESSES = 5
"""Addresses of every subnet that AWS keeps: network, router, DNS, future use, broadcast (VPC user guide)."""
ENDPOINT_ADDRESSES = 10
"""Addresses of every subnet left to interface endpoints, one each: more than are made, for those to come."""
LUSTRE_SERVER_GIB = SMALLEST_GIB
"""Least storage behind one server of a Lustre file system: none is smaller, and the smallest has a server.
AWS names no number; so a file system has no more servers, each with an address, than this gives, and one more
for its metadata."""


@dataclass(frozen=True, kw_only=True)
class SubnetPlan:
    """The addresses of one private subnet."""

    environment: str
    zone: str
    """Name of the zone, or `zone 1` where the region's first ones are taken."""
    subnet: str
    """Its block, or its id where it is there already."""
    size: int | None
    """Addresses that it has; None where only AWS knows."""
    needs: Mapping[str, int]
    """Addresses needed when everything that is declared stands, by what needs them."""
    node_addresses: Mapping[str, int]
    """Addresses of one node, for each instance type that may start here."""

    @property
    def needed(self) -> int:
        """Addresses needed when everything that is declared stands."""
        return sum(self.needs.values())

    @property
    def more_nodes(self) -> dict[str, int]:
        """How many more nodes of each type the subnet holds, if all that is free goes to that type."""
        if self.size is None:
            return {}
        free = max(0, self.size - self.needed)
        return {name: free // each for name, each in self.node_addresses.items()}

    def __str__(self) -> str:
        where = f"{self.environment}, {self.zone}: subnet {self.subnet}"
        if self.size is None:
            return f"{where}: {self.needed:,} addresses needed; AWS alone knows how many it has"
        more = ", or ".join(f"{count:,} more nodes of {name}" for name, count in self.more_nodes.items())
        holds = f"holds {more}" if more else "no fleet starts in it"
        return f"{where}: {self.size:,} addresses, {self.needed:,} needed, {holds}"

    def as_data(self) -> dict[str, Any]:
        """Return the plan as data for `--json`."""
        return {
            "environment": self.environment,
            "zone": self.zone,
            "subnet": self.subnet,
            "addresses": self.size,
            "needed": self.needed,
            "needs": dict(self.needs),
            "more_nodes": self.more_nodes,
        }


def plan_addresses(spec: EnvironmentSpec) -> tuple[SubnetPlan, ...]:
    """Return the plan of each private subnet of the environment, none where its block is too small to cut."""
    network = spec.network
    if network.is_own and network.cidr.prefixlen > SMALLEST_PREFIX:
        return ()
    blocks = network.subnets() if network.is_own else ()
    plans = []
    for index, subnet in enumerate(blocks or network.subnet_ids):
        fleets = dict(_fleets_in(spec, index))
        plans.append(
            SubnetPlan(
                environment=spec.name,
                zone=network.zone_names[index] if index < len(network.zone_names) else f"zone {index + 1}",
                subnet=str(subnet),
                size=blocks[index].num_addresses if blocks else None,
                needs=_needs(spec, fleets),
                node_addresses={fleet.instance_type: addresses(fleet) for fleet in fleets.values()},
            )
        )
    return tuple(plans)


def _fleets_in(spec: EnvironmentSpec, index: int) -> Iterator[tuple[str, FleetSpec]]:
    """Yield the fleets whose nodes may start in that zone."""
    names = spec.network.zone_names
    for name, fleet in spec.fleets.items():
        home = names.index(fleet.zone) if fleet.zone in names else 0
        if fleet.placement == "spread" or home == index:
            yield name, fleet


def _needs(spec: EnvironmentSpec, fleets: Mapping[str, FleetSpec]) -> dict[str, int]:
    """Return what needs addresses in a subnet where these fleets' nodes may start."""
    needs = {"AWS itself": AWS_RESERVED_ADDRESSES, "the head node": 1}
    if spec.network.endpoints == "made":
        needs["endpoints"] = ENDPOINT_ADDRESSES
    if spec.efs.enabled:
        needs["the shared file system"] = 1
    lustre = [spec.fsx.size_gib] * (spec.fsx.kind != "none") + [spec.fsx.run_max_gib] * bool(
        spec.fsx.run_max_gib
    )
    if lustre:
        needs["Lustre file systems"] = sum(1 + -(-size // LUSTRE_SERVER_GIB) for size in lustre)
    for name, fleet in fleets.items():
        # Auto Scaling keeps a fleet that is spread even over its zones.
        zones = spec.network.zone_count if fleet.placement == "spread" else 1
        needs[f"the fleet {name}"] = -(-fleet.max_nodes // zones) * addresses(fleet)
    return needs
