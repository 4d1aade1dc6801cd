"""Connections to a machine's ways in that flow logs have: SSH and remote desktop, accepted, from outside.

Nothing of fleetform's listens there and no security group admits anybody, so each is something to explain.
The records are those of the default format,
https://docs.aws.amazon.com/vpc/latest/userguide/flow-log-records.html; they tell neither who it
was nor what was done.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from fleet import aws
from fleet.entry_rows import Row
from fleet.instances import instances
from fleet.machine_facts import MachineFacts
from fleet.refused import in_words
from fleet.session import Session
from stacks import naming

NOT_LOOKED_AT = "flow logs: whether traffic reached the machine that belongs to none of these rows"
_PORTS = {"22": "SSH", "3389": "remote desktop"}
_TCP, _ACCEPTED = "6", "ACCEPT"
_FIELDS = 14
_TUNNEL_MINUTES = 60
"""How long after a tunnel or a key a connection may still be its: Instance Connect's tunnels last an hour."""


@dataclass(frozen=True, kw_only=True)
class Flow:
    """Connections of one source to one port, in one piece of time."""

    interface: str
    source: str
    port: str
    begin: datetime.datetime
    end: datetime.datetime


def rows_of_flows(
    session: Session,
    machine: MachineFacts,
    since: datetime.datetime,
    until: datetime.datetime,
    rows: Iterable[Row],
) -> tuple[list[Row], list[str]]:
    """Return the rows, those that explain a connection with it as evidence, and one for each other one.

    The second value is what could not be looked at.
    """
    kept, network = list(rows), session.spec.network
    if not machine.address or not network.is_own or network.flow_logs != "all":
        return kept, [NOT_LOOKED_AT]
    try:
        flows = list(_flows(session, machine, since, until))
        own = {each.get("PrivateIpAddress", "") for each in instances(session)} if flows else set()
    except Exception as error:
        if not aws.is_cloud_error(error):
            raise
        return kept, [f"{NOT_LOOKED_AT} ({in_words(error)})"]
    for flow in _together(each for each in flows if each.source not in own):
        at = next((number for number, row in enumerate(kept) if _explains(row, flow)), None)
        if at is None:
            kept.append(_row(flow))
        else:
            kept[at] = replace(kept[at], evidence=(*kept[at].evidence, _evidence(flow)))
    return kept, []


def _flows(
    session: Session, machine: MachineFacts, since: datetime.datetime, until: datetime.datetime
) -> Iterator[Flow]:
    """Yield what was accepted to the machine's ways in, whichever came first of it."""
    for port in _PORTS:
        pages = (
            session.client("logs")
            .get_paginator("filter_log_events")
            .paginate(
                logGroupName=naming.log_group(session.spec.name, naming.FLOW_LOGS),
                startTime=int(since.timestamp()) * 1000,  # records tell whole seconds
                endTime=int(until.timestamp() * 1000),
                filterPattern=(
                    f"[v, account, interface, from, to={machine.address}, port, toport={port}, "
                    f"protocol={_TCP}, packets, bytes, begin, end, action={_ACCEPTED}, status]"
                ),
            )
        )
        for page in pages:
            for event in page["events"]:
                flow = _flow(str(event["message"]), machine.address)
                if flow is not None and flow.port == port:
                    yield flow


def _flow(message: str, address: str) -> Flow | None:
    """Return what a record tells of a connection to a way into the machine, None for any other record."""
    fields = message.split()
    if len(fields) != _FIELDS:
        return None
    _, _, interface, source, to, _, port, protocol, _, _, begin, end, action, _ = fields
    if (to, protocol, action) != (address, _TCP, _ACCEPTED) or port not in _PORTS:
        return None
    try:
        times = [datetime.datetime.fromtimestamp(int(each), datetime.UTC) for each in (begin, end)]
    except (ValueError, OverflowError):
        return None
    return Flow(interface=interface, source=source, port=port, begin=times[0], end=times[1])


def _together(flows: Iterable[Flow]) -> list[Flow]:
    """Return the flows of one source to one port as one, as long as they follow on each other."""
    found: list[Flow] = []
    for flow in sorted(flows, key=lambda each: (each.source, each.port, each.begin)):
        last = found[-1] if found else None
        goes_on = last is not None and (last.source, last.port) == (flow.source, flow.port)
        if last is not None and goes_on and flow.begin - last.end <= datetime.timedelta(minutes=10):
            found[-1] = replace(last, end=max(last.end, flow.end))
        else:
            found.append(flow)
    return found


def _explains(row: Row, flow: Flow) -> bool:
    """Return whether a tunnel or a key for SSH may have been for the connection: soon before it."""
    after = flow.end - row.time
    is_near = datetime.timedelta() <= after and flow.begin - row.time <= datetime.timedelta(
        minutes=_TUNNEL_MINUTES
    )
    return row.completeness == "tunnel only" and is_near


def _row(flow: Flow) -> Row:
    return Row(
        time=flow.begin,
        ended=flow.end,
        what=f"connected to its port {flow.port} ({_PORTS[flow.port]}) from {flow.source}",
        who="",
        person="",
        address=flow.source,
        completeness="not recorded",
        evidence=(_evidence(flow),),
    )


def _evidence(flow: Flow) -> str:
    return f"flow:{flow.interface}:{flow.source}:{flow.port}@{flow.begin:%Y-%m-%dT%H:%M:%SZ}"
