"""Calls that a machine's own role made: from the machine, or by somebody who has its keys elsewhere."""

from __future__ import annotations

import datetime
import ipaddress
import re
from collections import defaultdict
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, replace

from fleet import aws
from fleet.entry_rows import Row
from fleet.machine_facts import MachineFacts
from fleet.session import Session
from fleet.trail import TrailEvent

_OF_MACHINE = re.compile(r"arn:[a-z-]+:sts::[0-9]{12}:assumed-role/[^/]+/(i-[0-9a-f]{8}(?:[0-9a-f]{9})?)")
"""EC2 names the session of a machine's role after the machine."""


@dataclass(frozen=True, kw_only=True)
class RoleUse:
    """All calls of a machine's role from one address."""

    who: str
    """ARN of the role's session."""
    address: str
    first: datetime.datetime
    last: datetime.datetime
    calls: int
    event: str
    """Id of the first one, in the trail."""
    file: str


class RoleUses:
    """The calls of machines' roles, added up as the trail is read: a machine makes thousands a day."""

    def __init__(self) -> None:
        self._found: dict[str, dict[str, RoleUse]] = defaultdict(dict)

    def add(self, event: TrailEvent) -> None:
        """Take a call that came from an address; any other kind of caller is left out."""
        made = _OF_MACHINE.fullmatch(event.who)
        if made is None or not _is_address(event.address):
            return
        of_machine = self._found[made[1]]
        known = of_machine.get(event.address)
        if known is not None:
            of_machine[event.address] = replace(known, last=event.time, calls=known.calls + 1)
            return
        of_machine[event.address] = RoleUse(
            who=event.who,
            address=event.address,
            first=event.time,
            last=event.time,
            calls=1,
            event=event.id,
            file=event.file,
        )

    def by_machine(self) -> Mapping[str, tuple[RoleUse, ...]]:
        """Return them by the machine's id."""
        return {machine: tuple(uses.values()) for machine, uses in self._found.items()}


def rows_of_uses(
    session: Session, machine: MachineFacts, uses: Iterable[RoleUse], sealed: Container[str]
) -> tuple[list[Row], list[str]]:
    """Return a row for each address that is not the machine's, and what could not be told.

    A call reaches AWS from the machine's own address by an endpoint, from its public one, or from that of a
    NAT gateway of its network. A network of somebody else's may have other ways out.
    """
    foreign = [each for each in uses if not _is_here(each.address, machine)]
    if not foreign:
        return [], []
    if not machine.found:
        return [], [f"EC2 has forgotten the machine: whether {_list(foreign)} was its address cannot be told"]
    gateways = _gateways(session, machine.vpc)
    outside = [each for each in foreign if each.address not in gateways]
    if not gateways and not machine.public_address:
        told = [each for each in outside if ipaddress.ip_address(each.address).is_private]
        unknown = [each for each in outside if each not in told]
        gaps = [f"its role was used from {_list(unknown)}: whether its network leaves there cannot be told"]
        return [_row(each, sealed) for each in told], gaps if unknown else []
    return [_row(each, sealed) for each in outside], []


def _row(use: RoleUse, sealed: Container[str]) -> Row:
    return Row(
        time=use.first,
        ended=use.last,
        what=f"used its role from {use.address}, calls: {use.calls}",
        who=use.who,
        person="",
        address=use.address,
        completeness="calls recorded",
        evidence=(f"trail:{use.event}",),
        sealed=use.file in sealed,
    )


def _is_here(address: str, machine: MachineFacts) -> bool:
    """Return whether the machine itself has that address; loopback is the embedded cloud's own computer."""
    is_local = ipaddress.ip_address(address).is_loopback
    return is_local or address in (machine.address, machine.public_address)


def _is_address(text: str) -> bool:
    """Return whether a call came from an address, and not from a service of AWS's, which has a name."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _gateways(session: Session, vpc: str) -> frozenset[str]:
    """Return the addresses of the NAT gateways of a VPC, those that have ended lately among them."""
    asked = [{"Name": "vpc-id", "Values": [vpc]}]
    try:
        pages = session.client("ec2").get_paginator("describe_nat_gateways").paginate(Filter=asked)
        found = [each for page in pages for each in page["NatGateways"]]
    except Exception as error:
        if not aws.is_cloud_error(error):
            raise
        return frozenset()
    named = (each.get(kind, "") for gateway in found for each in gateway.get("NatGatewayAddresses", [])
             for kind in ("PublicIp", "PrivateIp"))  # fmt: skip
    return frozenset(filter(None, named))


def _list(uses: Iterable[RoleUse]) -> str:
    return ", ".join(sorted(each.address for each in uses))
