"""Who was in a machine: the trail, Session Manager, its transcripts and the ledger joined into one timeline.

Each row says by what it is borne out and how much is known of what was done. What nobody looked at, and how
far the record reaches by now, is part of the answer: an empty timeline alone proves nothing.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from fleet import aws
from fleet.entry_kinds import AROUND, BY_ADDRESS, ENDED, EVERYWHERE, KINDS
from fleet.entry_rows import (
    Row,
    rows_of_calls,
    run_of,
    runs_by_id,
    session_of,
    with_ends,
    with_requests,
    with_runs,
    with_sessions,
    with_transcript,
)
from fleet.flows_seen import rows_of_flows
from fleet.machine_facts import MachineFacts, machine_facts
from fleet.node_sessions import KEPT_DAYS, NodeSession, list_sessions
from fleet.refused import READS_RECORD, in_words, refused_to
from fleet.role_uses import RoleUse, RoleUses, rows_of_uses
from fleet.session import Session
from fleet.trail import TrailEvent, read_trail
from fleet.trail_digests import TrailReport, verify_trail
from stacks import naming
from stacks.environment import EnvironmentSpec

BACK = datetime.timedelta(days=KEPT_DAYS)
"""How far it looks back on a machine that EC2 has forgotten, and for who asked for a run or a session."""
WHO_ENTERED = "read who was in a machine (trail, sessions, transcripts)"
_BEFORE_START = datetime.timedelta(minutes=1)
NEVER_LOOKED_AT = ("flow logs: traffic on other ports than those of SSH and remote desktop",)
"""What the timeline does not join, whatever there is of it."""


@dataclass(frozen=True, kw_only=True)
class Timeline:
    """Everything that is on record of one machine in a period."""

    instance: str
    since: datetime.datetime
    until: datetime.datetime
    rows: tuple[Row, ...]
    findings: tuple[str, ...]
    """What somebody has to explain."""
    gaps: tuple[str, ...]
    """What was not looked at, or cannot be known yet."""


@dataclass(frozen=True)
class TrailLook:
    """What the trail has of a region in a period: looked at once, for as many machines as one likes."""

    report: TrailReport
    calls: tuple[TrailEvent, ...]
    """Those that may be about a machine."""
    uses: Mapping[str, tuple[RoleUse, ...]] = field(default_factory=dict)
    """The calls of machines' own roles, by machine."""


@refused_to(WHO_ENTERED, READS_RECORD)
def look_at_trail(session: Session, since: datetime.datetime, until: datetime.datetime) -> TrailLook:
    """Read the calls of the period in the environment's region, and check their files."""
    region = session.spec.region
    report = verify_trail(session, since, until, region=region)
    calls, uses = list[TrailEvent](), RoleUses()
    for each in read_trail(session, since, until, region=region):
        uses.add(each)
        if (each.source, each.name) in KINDS:
            calls.append(each)
    return TrailLook(report, tuple(calls), uses.by_machine())


@refused_to(WHO_ENTERED, READS_RECORD)
def entered(
    session: Session,
    instance_id: str,
    since: datetime.datetime | None = None,
    until: datetime.datetime | None = None,
    look: TrailLook | None = None,
) -> Timeline:
    """Return who entered the machine, by default since it was started and until now (UTC).

    `look` is one of just that period, where somebody has looked already.
    Raises UserError for what is not a machine's id and where the caller's role may not read all of this,
    LedgerError where the ledger can't be read.
    """
    machine = machine_facts(session, instance_id)
    until = until or datetime.datetime.now(datetime.UTC)
    since = since or (machine.started - _BEFORE_START if machine.started else until - BACK)
    look = look or look_at_trail(session, since, until)
    report, region = look.report, session.spec.region
    calls = [each for each in look.calls if _is_about(each, machine)]
    listed, trouble = _listed(session, instance_id)
    rows = _rows(session, machine, calls, [each for each in listed if since <= each.began < until], report)
    used, unsure = rows_of_uses(session, machine, look.uses.get(instance_id, ()), report.intact)
    rows, unseen = rows_of_flows(session, machine, since, until, [*rows, *used])
    rows.sort(key=lambda row: row.time)
    endless = _endless(rows, listed) if not trouble else ()
    return Timeline(
        instance=instance_id,
        since=since,
        until=until,
        rows=tuple(rows),
        findings=(*_findings(rows), *map(str, report.findings)),
        gaps=(
            *trouble,
            *endless,
            *unsure,
            *unseen,
            *_gaps(machine, report, region, until),
            *NEVER_LOOKED_AT,
        ),
    )


def _rows(
    session: Session,
    machine: MachineFacts,
    calls: list[TrailEvent],
    listed: list[NodeSession],
    report: TrailReport,
) -> list[Row]:
    """Return what was done to the machine, each with all that is known of it."""
    document = naming.account_name(session.account.organization, naming.SESSION_DOCUMENT)
    rows = with_sessions(rows_of_calls(calls, document, report.intact), listed, document)
    rows = with_ends(rows, calls)
    commands = [each for each in calls if run_of(each)]
    times = [each.time for each in commands] + [row.time for row in rows if session_of(row)]
    told = list(session.ledger.entries_since(min(times) - BACK)) if times else []
    rows = with_requests(rows, told, machine.id)
    rows = [with_transcript(session.ledger.objects, row) for row in rows]
    if commands:
        head_role = naming.environment_role(session.spec.name, naming.ROLE_HEAD, session.spec.region)
        rows = with_runs(rows, commands, runs_by_id(told), _documents(session.spec), head_role)
    return rows


def _documents(spec: EnvironmentSpec) -> frozenset[str]:
    """Return the documents by which fleetform commands the machines of the environment for runs."""
    teams = ("", *spec.further_teams)
    of_heads = (
        each(spec.name, team) for each in (naming.run_document, naming.queue_document) for team in teams
    )
    return frozenset((*of_heads, naming.node_document(spec.name)))


def _is_about(event: TrailEvent, machine: MachineFacts) -> bool:
    kind = (event.source, event.name)
    if kind == ENDED:
        return True  # it names the session alone, and is joined by it
    if kind in EVERYWHERE:
        return True
    if kind in AROUND:
        return event.names(*machine.network, *machine.things)
    if kind in BY_ADDRESS and machine.address and event.names(machine.address):
        return True
    return event.names(*machine.things) or machine.is_target(event.request.get("targets"))


def _listed(session: Session, instance_id: str) -> tuple[list[NodeSession], list[str]]:
    """Return Session Manager's own sessions, and why they could not be had where they could not."""
    try:
        return list(list_sessions(session, instance_id)), []
    except Exception as error:
        if not aws.is_cloud_error(error):
            raise
        return [], [f"Session Manager's own list of sessions: {in_words(error)}"]


def _findings(rows: Iterable[Row]) -> Iterator[str]:
    for row in rows:
        when, who = f"{row.time:%Y-%m-%d %H:%M:%S}Z", row.person or row.who or "somebody"
        if row.is_entry and not row.person:
            yield f"{when}: {who} {row.what}, and nothing says which person that is"
        if row.completeness == "recording missing":
            yield f"{when}: {who} {row.what}, and there is no transcript of it"
        if row.completeness in ("tunnel only", "not recorded"):
            yield f"{when}: {who} {row.what}, and what was done is not recorded"


def _gaps(machine: MachineFacts, report: TrailReport, region: str, until: datetime.datetime) -> Iterator[str]:
    if not machine.found:
        yield "EC2 has forgotten the machine: commands by tags, its disks and its address cannot be told"
    yield from report.unchecked
    reach = report.reach.get(region)
    if reach is None and report.waiting:
        yield "CloudTrail's signed digest of this time has not come yet"
    elif reach is not None and reach < until:
        yield f"CloudTrail's signed digests reach to {reach:%Y-%m-%d %H:%M:%S}Z"


def _endless(rows: Iterable[Row], listed: Iterable[NodeSession]) -> Iterator[str]:
    """Yield the sessions of which nothing tells an end, and that do not go on either."""
    going = {each.id for each in listed if each.ended is None}
    for row in rows:
        begun = session_of(row)
        if begun and row.ended is None and not row.error and begun not in going:
            yield f"no end is known of the session {begun}"
