"""The guardrails on one environment: a function a rule, each returning the problems that it finds."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Network

from stacks.case import Case, Rule, unknown_region
from stacks.catalog import load_catalog
from stacks.name_rules import NAME_RULES
from stacks.problems import Problem, nearest

PRIVATE_BLOCKS = tuple(IPv4Network(block) for block in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"))
"""RFC 1918."""
AWS_RESERVED_ADDRESSES = 5
"""Addresses of every subnet that AWS keeps: network, router, DNS, future use, broadcast (VPC user guide)."""
ENDPOINT_ADDRESSES = 10
"""Addresses of every subnet left to interface endpoints, one each; more than the base stack makes."""
LEASE_WARNING_DAYS = 7
BURSTABLE = ("t2", "t3", "t3a", "t4g")
"""Families whose CPU is throttled to a baseline; cluster placement groups refuse them (EC2 user guide)."""


def region_is_known(case: Case) -> Iterator[Problem]:
    """The region is one of AWS's."""
    yield from unknown_region(case, case.spec.region)


def lease_is_not_over(case: Case) -> Iterator[Problem]:
    """The lease has not ended: an expired environment is not built, only torn down."""
    if case.spec.lease_ends < case.today:
        yield case.problem(
            "lease_ends",
            f"the lease ended on {case.spec.lease_ends}",
            f"tear it down (`fleetform down {case.spec.name}`), or set a later day",
        )


def lease_ends_soon(case: Case) -> Iterator[Problem]:
    """The lease lasts longer than the next week."""
    left = (case.spec.lease_ends - case.today).days
    if 0 <= left <= LEASE_WARNING_DAYS:
        when = "today" if left == 0 else "tomorrow" if left == 1 else f"in {left} days"
        yield case.problem("lease_ends", f"the lease ends {when}", "set a later day if the work goes on")


def network_is_private(case: Case) -> Iterator[Problem]:
    """The network lies in one of RFC 1918's blocks."""
    cidr = case.spec.network.cidr
    if not any(cidr.subnet_of(block) for block in PRIVATE_BLOCKS):
        blocks = ", ".join(str(block) for block in PRIVATE_BLOCKS)
        yield case.problem("network.cidr", f"{cidr} is not private", f"take a block out of {blocks}")


def network_has_a_vpcs_size(case: Case) -> Iterator[Problem]:
    """The network is /16 (the largest VPC) to /24 (below which its subnets hold next to nothing)."""
    cidr = case.spec.network.cidr
    if not 16 <= cidr.prefixlen <= 24:
        yield case.problem(
            "network.cidr", f"/{cidr.prefixlen} is no size for a network", "take a block of /16 to /24"
        )


def subnets_hold_every_node(case: Case) -> Iterator[Problem]:
    """Each subnet alone has addresses for every node, since a cluster placement group stays in one zone."""
    spec = case.spec
    machines = 1 + sum(fleet.max_nodes * _addresses(fleet.instance_type) for fleet in spec.fleets.values())
    needed = machines + AWS_RESERVED_ADDRESSES + ENDPOINT_ADDRESSES
    subnet = spec.network.subnets()[0] if spec.network.cidr.prefixlen <= 24 else None
    if subnet is not None and subnet.num_addresses < needed:
        yield case.problem(
            "network.cidr",
            f"a subnet ({subnet}) has {subnet.num_addresses} addresses where {needed} are needed: {machines} "
            f"by machines, {AWS_RESERVED_ADDRESSES} by AWS itself, {ENDPOINT_ADDRESSES} by endpoints",
            "take a larger block, or lower max_nodes",
        )


def _addresses(instance_type: str) -> int:
    """Return the addresses of one node: one, or one for each Elastic Fabric Adapter."""
    found = load_catalog().get(instance_type)
    return max(1, found.efa_interfaces) if found else 1


def types_are_known(case: Case) -> Iterator[Problem]:
    """Every instance type is in the catalog."""
    named = [("head.instance_type", case.spec.head.instance_type)]
    named += [
        (f"fleets.{name}.instance_type", fleet.instance_type) for name, fleet in case.spec.fleets.items()
    ]
    for path, instance_type in named:
        if instance_type not in load_catalog():
            near = nearest(instance_type, load_catalog())
            hint = f"did you mean `{near}`? " if near else ""
            yield case.problem(
                path,
                f"there is no instance type {instance_type!r} in the catalog",
                f"{hint}known: {', '.join(load_catalog())}",
            )


def fleets_are_not_burstable(case: Case) -> Iterator[Problem]:
    """No fleet is of a burstable type, which cluster placement groups refuse; the head node may be."""
    for name, fleet in case.spec.fleets.items():
        if fleet.instance_type.partition(".")[0] in BURSTABLE:
            yield case.problem(
                f"fleets.{name}.instance_type",
                f"{fleet.instance_type} is burstable; a fleet's cluster placement group takes no such type",
                "take a GPU type, such as g5.xlarge; to train on the CPU, m6i.large",
            )


def nodes_within_max_nodes(case: Case) -> Iterator[Problem]:
    """No fleet starts with more nodes than it may grow to."""
    for name, fleet in case.spec.fleets.items():
        if fleet.nodes > fleet.max_nodes:
            yield case.problem(
                f"fleets.{name}.nodes",
                f"{fleet.nodes} nodes where max_nodes is {fleet.max_nodes}",
                f"lower it to {fleet.max_nodes}, or raise max_nodes",
            )


def max_nodes_within_the_limit(case: Case) -> Iterator[Problem]:
    """All fleets together stay within the account's limit for one environment."""
    if case.account is None:
        return
    limit = case.account.limits.max_nodes_per_environment
    fleets = case.spec.fleets
    over = [(name, fleet.max_nodes) for name, fleet in fleets.items() if fleet.max_nodes > limit]
    total = sum(fleet.max_nodes for fleet in fleets.values())
    do = "ask for less, or have limits.max_nodes_per_environment raised in account.toml"
    for name, most in over:
        yield case.problem(f"fleets.{name}.max_nodes", f"{most} nodes where {limit} are allowed", do)
    if not over and total > limit:
        yield case.problem("fleets", f"{total} nodes together where {limit} are allowed", do)


def head_has_no_gpu(case: Case) -> Iterator[Problem]:
    """The head node has no GPU, since nothing there would use it."""
    found = load_catalog().get(case.spec.head.instance_type)
    if found is not None and found.gpus:
        yield case.problem(
            "head.instance_type",
            f"{found.name} has {found.gpus} GPU that no run uses, for {found.price_usd_per_hour} USD an hour",
            "take a type without a GPU, such as m6i.large",
        )


def fleets_have_gpus(case: Case) -> Iterator[Problem]:
    """Every fleet's machines have a GPU; without one they train on the CPU."""
    for name, fleet in case.spec.fleets.items():
        found = load_catalog().get(fleet.instance_type)
        if found is not None and not found.gpus:
            yield case.problem(
                f"fleets.{name}.instance_type",
                f"{found.name} has no GPU, so runs on this fleet train on the CPU",
                "take a GPU type, such as g5.xlarge, if that is not meant",
            )


def there_is_a_fleet(case: Case) -> Iterator[Problem]:
    """There is a fleet at all; without one, no run can start."""
    if not case.spec.fleets:
        yield case.problem("fleets", "there is no fleet, so no run can start", "add a table `[fleets.gpu]`")


ERRORS: tuple[Rule, ...] = (
    *NAME_RULES,
    region_is_known,
    lease_is_not_over,
    network_is_private,
    network_has_a_vpcs_size,
    subnets_hold_every_node,
    types_are_known,
    fleets_are_not_burstable,
    nodes_within_max_nodes,
    max_nodes_within_the_limit,
)
"""Rules whose findings stop every act that builds."""
WARNINGS: tuple[Rule, ...] = (lease_ends_soon, head_has_no_gpu, fleets_have_gpus, there_is_a_fleet)
"""Rules whose findings are told, and stop nothing."""
