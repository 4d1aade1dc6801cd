"""The rows of a machine's timeline, and how what several sources know of one thing becomes one row.

A session is known to the trail, to Session Manager, by its transcript and by its end; a command to the trail,
and by the run that it is for to the ledger.
"""

from __future__ import annotations

import datetime
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, replace

from fleet.entry_kinds import COMMAND, ENDED, ENTRIES, SESSION, Completeness, session_way, way_of
from fleet.identity import person
from fleet.ledger_reading import Entry
from fleet.locked_bucket import LockedBucket
from fleet.node_sessions import NodeSession, find_transcript
from fleet.trail import TrailEvent

_SUBMITTED = ("run.submit", "run.resume")
_ENTERED = ("server.entered", "server.enter")


@dataclass(frozen=True, kw_only=True)
class Row:
    """One thing that happened to a machine."""

    time: datetime.datetime
    what: str
    """In words: "entered by Session Manager"."""
    who: str
    """ARN of the caller."""
    person: str
    """The person behind it, "" where nothing proves one."""
    address: str = ""
    reason: str = ""
    completeness: Completeness
    evidence: tuple[str, ...]
    """What bears it out: `trail:EVENT`, `session:ID`, `transcript:KEY?versionId=`, `ledger:NUMBER`,
    `flow:INTERFACE:SOURCE:PORT@TIME`."""
    sealed: bool = False
    """Whether a signed digest of CloudTrail's covers the file that its event is in."""
    ended: datetime.datetime | None = None
    error: str = ""
    """Code of the refusal of what was not let in."""

    @property
    def is_entry(self) -> bool:
        """Whether somebody was on the machine by it, or has what was on it."""
        return self.completeness in ENTRIES


def rows_of_calls(calls: Iterable[TrailEvent], document: str, sealed: Container[str]) -> list[Row]:
    """Return a row for each call that has to do with a machine; `sealed` are the files that digests cover."""
    rows = []
    for event in calls:
        if (way := way_of(event, document)) is None:
            continue
        begun = _session_of(event) if (event.source, event.name) == SESSION else ""
        rows.append(
            Row(
                time=event.time,
                what=way.what,
                who=event.who,
                person=event.person,
                address=event.address,
                completeness="refused" if event.error else way.completeness,
                evidence=(f"trail:{event.id}", *([f"session:{begun}"] if begun else [])),
                sealed=event.file in sealed,
                error=event.error,
            )
        )
    return rows


def with_sessions(rows: Iterable[Row], listed: Iterable[NodeSession], document: str) -> list[Row]:
    """Add what Session Manager knows of each session; one that the trail does not have yet is a row too."""
    known = {f"session:{each.id}": each for each in listed}
    joined = []
    for row in rows:
        found = next((known.pop(each) for each in row.evidence if each in known), None)
        joined.append(replace(row, reason=found.reason, ended=found.ended) if found else row)
    for evidence, each in known.items():
        way = session_way(each.document, document)
        joined.append(
            Row(
                time=each.began,
                what=way.what,
                who=each.who,
                person=person(each.who),
                reason=each.reason,
                completeness=way.completeness,
                evidence=(evidence,),
                ended=each.ended,
            )
        )
    return joined


def with_ends(rows: Iterable[Row], calls: Iterable[TrailEvent]) -> list[Row]:
    """Add the ends that the trail has of sessions, for those that Session Manager has forgotten."""
    ends = {
        f"session:{each.request.get('sessionId')}": each
        for each in calls
        if (each.source, each.name) == ENDED and not each.error
    }
    found = []
    for row in rows:
        end = next((ends[each] for each in row.evidence if each in ends), None)
        if end is not None:
            row = replace(row, ended=row.ended or end.time, evidence=(*row.evidence, f"trail:{end.id}"))
        found.append(row)
    return found


def with_transcript(objects: LockedBucket, row: Row) -> Row:
    """Add the transcript of a session by our document, or that there is none."""
    if row.completeness != "recording to come":
        return row
    begun = session_of(row)
    found = find_transcript(objects, begun) if begun else None
    if found is None:
        return replace(row, completeness="recording missing") if row.ended else row
    evidence = (*row.evidence, f"transcript:{found.key}?versionId={found.version}")
    return replace(row, completeness="recorded", evidence=evidence)


def with_requests(rows: Iterable[Row], entries: Iterable[Entry], instance: str) -> list[Row]:
    """Add to each session that was asked for by `fleetform enter` the entries of the ledger that it made.

    They count for a session alone that began on this machine and that somebody else knows of as well: the
    trail, or Session Manager. A session without one was begun past fleetform.
    """
    told: dict[str, list[Entry]] = {}
    for entry in entries:
        begun = str(entry["details"].get("session") or "")
        if entry["event"] in _ENTERED and entry["target"] == instance and begun:
            told.setdefault(begun, []).append(entry)
    found = []
    for row in rows:
        for entry in told.get(session_of(row), ()):
            row = replace(
                row,
                reason=row.reason or str(entry["details"].get("reason") or ""),
                evidence=(*row.evidence, f"ledger:{entry['sequence']}"),
            )
        found.append(row)
    return found


def session_of(row: Row) -> str:
    """Return the id of the session that a row is about, "" for anything else."""
    named = (each for each in row.evidence if each.startswith("session:"))
    return next(named, "").removeprefix("session:")


def runs_by_id(entries: Iterable[Entry]) -> dict[str, Entry]:
    """Return the entry that brought each run: who asked for it."""
    runs: dict[str, Entry] = {}
    for entry in entries:
        if entry["event"] in _SUBMITTED:
            run_id = str(entry["details"].get("run_id") or entry["target"])
            runs.setdefault(run_id, entry)
    return runs


def with_runs(
    rows: Iterable[Row],
    calls: Iterable[TrailEvent],
    runs: Mapping[str, Entry],
    documents: Container[str],
    head_role: str,
) -> list[Row]:
    """Add to each command of a run's which run it is, and to those that the head sends who asked for it.

    A comment is whatever the caller writes: it counts only with fleetform's own documents, and it makes
    nobody answer for a command but where the environment's head, in its own role, sends it.
    """
    asked = {
        f"trail:{each.id}": (runs[run], f":assumed-role/{head_role}/" in each.who)
        for each in calls
        if (run := run_of(each)) in runs and each.request.get("documentName") in documents
    }
    found = []
    for row in rows:
        entry, by_head = next((asked[each] for each in row.evidence if each in asked), (None, False))
        if entry is not None:
            run = entry["details"].get("run_id") or entry["target"]
            who = str(entry["actor"].get("person") or "") if by_head else ""
            row = replace(
                row,
                person=row.person or who,
                reason=row.reason or f"run {run}",
                evidence=(*row.evidence, f"ledger:{entry['sequence']}"),
            )
        found.append(row)
    return found


def run_of(event: TrailEvent) -> str:
    """Return the run that a command is for: fleetform puts its id into the comment of each."""
    return str(event.request.get("comment") or "") if (event.source, event.name) == COMMAND else ""


def _session_of(event: TrailEvent) -> str:
    return str(event.answer.get("sessionId") or "")
