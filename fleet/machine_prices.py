"""What a group of machines costs: instances by the way they are bought, and their root disks."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fleet.kinds import MACHINES
from fleet.priced import Item, Resource, block, blocks, counted, number, source_of
from stacks import naming
from stacks.catalog import InstanceType, load_catalog, load_other_prices

_TEMPLATE = re.compile(r"aws_launch_template\.([A-Za-z0-9_-]+)")
FREE_IOPS, FREE_MBPS = 3000, 125
"""What a gp3 disk has for its price; more is paid for (https://aws.amazon.com/ebs/pricing/)."""
ELASTIC_NODES = "elastic_nodes"
"""Kind of what `elastic_nodes` gives; Terraform has no such resource."""
ON_DEMAND = "on demand"
SPOT = "spot: at most the on-demand price"
RESERVED = "the reservation is paid for whether nodes run or not"
BLOCK = "paid for with the capacity block, up front"


@dataclass(frozen=True, kw_only=True)
class MachineGroup:
    """A group of machines as its resources declare it."""

    name: str
    """The fleet's name, or `head`."""
    head: bool
    types: tuple[str, ...]
    """Instance types that it may start, in its order."""
    smallest: int
    wanted: int
    largest: int
    market: str
    """`on demand`, `spot`, `capacity reservation` or `capacity block`."""
    on_demand_base: int
    """Of a spot group: how many nodes, the first ones, are bought on demand."""
    other_ways: bool
    """Whether nodes beyond those that always stand may be bought in another way, too, from a template of its
    own: the queue's."""
    disks: tuple[Mapping[str, Any], ...]
    """The `ebs` blocks of its launch template."""

    @property
    def kinds(self) -> str:
        """Its types in words: "g5.xlarge", or "g5.xlarge or g5.2xlarge"."""
        return " or ".join(self.types) or "unknown"

    def __str__(self) -> str:
        """Return it as one would say it: "a fleet `gpu` of 2 to 4 g5.xlarge nodes, spot"."""
        if self.head:
            return f"the head node, {self.kinds}"
        size = str(self.largest) if self.wanted == self.largest else f"{self.wanted} to {self.largest}"
        bought = "" if self.market == ON_DEMAND else f", {self.market}"
        first = f" with the first {self.on_demand_base} on demand" if self.on_demand_base else ""
        noun = "node" if size == "1" else "nodes"
        return f"a fleet `{self.name}` of {size} {self.kinds} {noun}{bought}{first}"


def machine_group(group: Resource, resources: Sequence[Resource]) -> MachineGroup:
    """Return what a group of machines is, with its launch template found among the resources."""
    policy = block(group.values, "mixed_instances_policy")
    distribution = block(policy, "instances_distribution")
    specification = block(policy, "launch_template", "launch_template_specification")
    template = _template(block(group.values, "launch_template") or specification, resources)
    overrides = blocks(block(policy, "launch_template"), "override")
    types = tuple(
        dict.fromkeys(str(each["instance_type"]) for each in overrides if each.get("instance_type"))
    )
    tags = {str(tag.get("key")): str(tag.get("value")) for tag in blocks(group.values, "tag")}
    # Under Slurm the group holds only those that always stand.
    largest = int(number(tags.get(naming.TAG_MAX_NODES), number(group.values.get("max_size"))))
    smallest = int(number(group.values.get("min_size")))
    base = int(number(distribution.get("on_demand_base_capacity")))
    share = number(distribution.get("on_demand_percentage_above_base_capacity"), 100.0)
    return MachineGroup(
        name=tags.get(naming.TAG_FLEET) or group.name,
        head=tags.get(naming.TAG_ROLE) == naming.ROLE_HEAD,
        types=types or tuple(filter(None, [str(template.get("instance_type") or "")])),
        smallest=smallest,
        wanted=int(number(group.values.get("desired_capacity"), smallest)),
        largest=largest,
        market="spot" if policy and share < 100 else _market(template),
        on_demand_base=base if policy and share < 100 else 0,
        other_ways=any(
            each.kind == "aws_launch_template"
            and str(each.values.get("name") or "").startswith(f"{group.values.get('name')}.")
            for each in resources
        ),
        disks=tuple(
            ebs for mapping in blocks(template, "block_device_mappings") for ebs in blocks(mapping, "ebs")
        ),
    )


def _market(template: Mapping[str, Any]) -> str:
    asked = str(block(template, "instance_market_options").get("market_type") or "")
    target = block(template, "capacity_reservation_specification", "capacity_reservation_target")
    if asked:
        return asked.replace("-", " ")
    return "capacity reservation" if target else ON_DEMAND


def _template(specification: Mapping[str, Any], resources: Sequence[Resource]) -> Mapping[str, Any]:
    """Return the launch template that a group names by reference, by id or by name; empty if elsewhere."""
    named = str(
        specification.get("id")
        or specification.get("launch_template_id")
        or specification.get("name")
        or specification.get("launch_template_name")
        or ""
    )
    reference = _TEMPLATE.search(named)
    for each in resources:
        if each.kind != "aws_launch_template":
            continue
        if (
            each.name == reference[1]
            if reference
            else named in (each.values.get("id"), each.values.get("name"))
        ):
            return each.values
    return {}


def elastic_nodes(counts: Mapping[tuple[str, str], int]) -> list[Resource]:
    """Return nodes that came with the queue as resources that can be priced; counted by fleet and type."""
    return [
        Resource(ELASTIC_NODES, fleet, {"count": count, "instance_type": kind})
        for (fleet, kind), count in sorted(counts.items())
    ]


def elastic_item(resource: Resource) -> Item:
    """Return what nodes cost that came with the queue and stand now; none of them stands idle for long."""
    kind, count = str(resource.values["instance_type"]), int(resource.values["count"])
    found = load_catalog().get(kind)
    if found is None:
        return Item.unpriced(resource, f"the catalog has no instance type {kind}")
    hourly = count * found.price_usd_per_hour
    return Item(
        address=resource.address,
        room=MACHINES,
        what=f"{counted(count, 'node')} of `{resource.name}` for runs in the queue, {kind}",
        usd_per_hour_running=hourly,
        usd_per_hour_idle=0.0,
        usd_per_hour_at_most=hourly,
        basis="at most the on-demand price, while the queue needs them",
        unit_usd=found.price_usd_per_hour,
        per="hour",
        of=kind,
        region=found.price_region,
        date=found.price_date.isoformat(),
        source=found.price_source,
    )


def machine_items(group: Resource, resources: Sequence[Resource]) -> Iterator[Item]:
    """Yield what a group of machines costs: its instances, then its disks."""
    found = machine_group(group, resources)
    dearest = _dearest(found.types)
    if dearest is None and found.market != "capacity block":
        yield Item.unpriced(group, f"the catalog has no instance type {found.kinds}")
    else:
        yield _instances(group, found, dearest)
    for disk in found.disks:
        yield from _disk(group, found, disk)


_BASES = {"spot": SPOT, "capacity reservation": RESERVED, "capacity block": BLOCK}


def _instances(group: Resource, found: MachineGroup, dearest: InstanceType | None) -> Item:
    listed = dearest.price_usd_per_hour if dearest else 0.0
    price = listed if found.market != "capacity block" else 0.0
    # Behind a block, which is full, nodes come at the price of the other ways.
    further = listed if found.other_ways else price
    basis = _BASES.get(found.market, ON_DEMAND)
    if further != price:
        basis += "; further nodes at most at the on-demand price"
    # A reservation is billed as its size, which nodes fill: ending them saves nothing.
    idle = found.wanted if found.market == "capacity reservation" else found.smallest
    where: dict[str, Any] = {}
    if dearest and (price or further):
        where = {
            "unit_usd": listed, "per": "hour", "of": dearest.name, "region": dearest.price_region,
            "date": dearest.price_date.isoformat(), "source": dearest.price_source,
        }  # fmt: skip
    return Item(
        address=group.address,
        room=MACHINES,
        what=str(found),
        usd_per_hour_running=found.wanted * price,
        usd_per_hour_idle=idle * price,
        usd_per_hour_at_most=found.wanted * price + (found.largest - found.wanted) * further,
        basis=basis,
        **where,
    )


def _dearest(types: Sequence[str]) -> InstanceType | None:
    """Return the dearest of the types, None where there is none or the catalog lacks one of them."""
    known = [load_catalog().get(each) for each in types]
    found = [each for each in known if each is not None]
    if not found or len(found) < len(known):
        return None
    return max(found, key=lambda each: each.price_usd_per_hour)


def _disk(group: Resource, found: MachineGroup, disk: Mapping[str, Any]) -> Iterator[Item]:
    kind, size = str(disk.get("volume_type") or "gp3"), number(disk.get("volume_size"))
    if kind != "gp3" or not size:
        yield Item.unpriced(group, f"the catalog has no price for a disk of type {kind} and {size:g} GiB")
        return
    prices = load_other_prices()
    hourly = prices["ebs_gp3"].usd_per_hour(size)
    hourly += prices["ebs_gp3_iops"].usd_per_hour(max(0.0, number(disk.get("iops")) - FREE_IOPS))
    hourly += prices["ebs_gp3_throughput"].usd_per_hour(max(0.0, number(disk.get("throughput")) - FREE_MBPS))
    whose = "of the head node" if found.head else f"of each node of `{found.name}`"
    yield Item(
        address=group.address,
        room=MACHINES,
        what=f"{counted(size, 'GiB', 'GiB')} disk {whose}",
        usd_per_hour_running=found.wanted * hourly,
        usd_per_hour_idle=found.smallest * hourly,
        usd_per_hour_at_most=found.largest * hourly,
        basis="while its machine stands",
        **source_of(prices["ebs_gp3"]),
    )
