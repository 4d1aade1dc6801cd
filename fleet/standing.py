"""What of an environment can't change while it stands, held against the base's state: region and network.

Terraform itself would not refuse: in another region it finds nothing, drops what it knew and builds anew,
while the old machines go on costing money; and a network's new block replaces it under running machines.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fleet.bootstrap import read_state_object
from fleet.session import Session
from stacks import naming
from stacks.problems import Problem, UserError


def require_same_region(session: Session) -> None:
    """Raise UserError where the environment stands in another region than its file says."""
    standing = _standing(session)
    if standing and standing.region != session.spec.region:
        raise UserError([_problem(session, "region", standing.region)])


def require_same_network(session: Session) -> None:
    """Raise UserError where the network that stands is not the one that the file declares.

    It is another one with another VPC, block, number or names of zones, or other subnets. NAT, endpoints,
    flow logs and whether it is closed can change.
    """
    standing = _standing(session)
    problems = list(_differences(session, standing)) if standing else []
    if problems:
        raise UserError(problems)


@dataclass(frozen=True, kw_only=True)
class _Network:
    """The network of a base that stands."""

    region: str
    vpc_id: str
    """"" for one of the environment's own, as in its file."""
    cidr: str
    zones: tuple[str, ...]
    """Of the private subnets, in order; "" where the state does not tell."""
    subnet_ids: tuple[str, ...]
    zones_by_name: bool
    """Whether the file named the zones when it was built."""


def _differences(session: Session, standing: _Network) -> Iterator[Problem]:
    wanted = session.spec.network
    if standing.vpc_id != wanted.vpc_id:
        yield _problem(session, "network.vpc_id", standing.vpc_id or "a VPC of its own")
        return
    if standing.vpc_id:
        if standing.subnet_ids != wanted.subnet_ids:
            yield _problem(session, "network.subnet_ids", ", ".join(standing.subnet_ids))
        return
    if standing.cidr != str(wanted.cidr):
        yield _problem(session, "network.cidr", standing.cidr)
    names = ", ".join(standing.zones)
    if wanted.zone_names:
        if standing.zones != wanted.zone_names:
            yield _problem(session, "network.zone_names", names)
    elif standing.zones_by_name:
        yield _problem(session, "network.zone_names", names)
    elif standing.zones and len(standing.zones) != wanted.zone_count:
        yield _problem(session, "network.zones", len(standing.zones))


def _problem(session: Session, path: str, stands: object) -> Problem:
    name = session.spec.name
    return Problem(
        file=f"environments/{name}.toml",
        path=path,
        what=f"{name} stands with {stands}, and this can't change while it stands",
        do=f"set it back to {stands}, or tear the environment down first (`fleetform down {name} --base`)",
    )


def _standing(session: Session) -> _Network | None:
    """Return the network in the base's state, None where there is no base."""
    text = read_state_object(session.cloud, session.account, naming.base_stack(session.spec.name))
    found: dict[tuple[str, str], dict[str, Mapping[str, Any]]] = {}
    for resource in json.loads(text or "{}").get("resources", []):
        if resource["instances"]:
            kind = found.setdefault((resource["mode"], resource["type"]), {})
            kind[resource["name"]] = resource["instances"][0]["attributes"]
    own, existing = found.get(("managed", "aws_vpc"), {}), found.get(("data", "aws_vpc"), {})
    vpc = own.get("main") or existing.get("existing")
    if vpc is None:
        return None
    subnets = _in_order(
        found.get(("managed", "aws_subnet"), {}) if own else found.get(("data", "aws_subnet"), {})
    )
    return _Network(
        region=str(vpc["arn"]).split(":")[3],
        vpc_id="" if own else str(vpc["id"]),
        cidr=str(vpc["cidr_block"]),
        zones=tuple(str(each.get("availability_zone", "")) for each in subnets),
        subnet_ids=tuple(str(each["id"]) for each in subnets),
        zones_by_name=bool(subnets) and ("data", "aws_availability_zones") not in found,
    )


def _in_order(subnets: Mapping[str, Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the subnets that machines start in, by their number in the stack: not those of NAT gateways."""
    numbered = {
        int(number): attributes
        for name, attributes in subnets.items()
        for kind, _, number in (name.rpartition("_"),)
        if kind in ("private", "existing")
    }
    return [numbered[number] for number in sorted(numbered)]
