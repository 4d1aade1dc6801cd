"""`/record/environments/NAME/servers/ID`: who entered a machine; and transcripts, read on record."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Response

from console.pages import record_view
from console.pages.record_person import READ
from console.web import assets
from console.web.mistakes import NotThereError
from console.web.visit import AnyVisit, Visit
from console.words import ways
from fleet import commands
from fleet.entered import Timeline
from fleet.entry_about import is_environment, is_machine
from fleet.entry_rows import Row
from fleet.session import Session
from templates.console.home import Tone
from templates.console.parts import Choice, Link
from templates.console.phrase import Phrase
from templates.console.record_server import EntranceLine, ServerPage

DAYS = ("1", "7", "30")
EVER = "all"
_SESSION = re.compile(r"[A-Za-z0-9_.@=,+-]{1,128}", re.ASCII)
_BAD = ("recording missing", "tunnel only", "not recorded")

router = APIRouter()


@router.get("/record/environments/{name}/servers/{instance}")
def show(
    visit: AnyVisit, name: str, instance: str, days: Annotated[str, Query(max_length=4)] = "7"
) -> Response:
    """Show the timeline of the last days, or since the machine was started."""
    session = _session(visit, name, instance)
    days = days if days in (*DAYS, EVER) else "7"
    found = visit.services.closer.entered(session, instance, 0 if days == EVER else int(days))
    here = f"/record/environments/{name}/servers/{instance}"
    _, reader = visit.reader.gettext, visit.reader
    rows = tuple(_row(visit, row, here, days) for row in found.rows)
    findings = sum(bool(row.finding) for row in rows)
    trail = found.findings[_row_findings(found) :]
    page = ServerPage(
        frame=visit.frame(
            _("Who entered {instance}").format(instance=instance),
            command=commands.line(
                commands.show_entered(name, instance, "" if days == EVER else f"{found.since:%Y-%m-%d}")
            ),
        ),
        style=assets.url("record.css"),
        links=(Link(label=_("Record of {name}").format(name=name), href=f"/record/environments/{name}"),),
        here=here,
        periods=_periods(visit, days),
        since=reader.moment(found.since),
        until=reader.moment(found.until),
        rows=rows,
        findings=findings,
        found_text=_found_text(visit, findings, trail),
        found_tone="bad" if findings or trail else "good",
        trail=trail,
        gaps=tuple(_gaps(visit, found)),
        enter=_enter(visit, session, instance),
    )
    return visit.page(page)


@router.get("/record/environments/{name}/servers/{instance}/transcript")
def read(
    visit: AnyVisit,
    name: str,
    instance: str,
    session_id: Annotated[str, Query(alias="session", max_length=128)] = "",
    days: Annotated[str, Query(max_length=4)] = EVER,
) -> Response:
    """Send what was typed and shown in a session on this machine; who reads it is on record first."""
    session = _session(visit, name, instance)
    if not _SESSION.fullmatch(session_id):
        raise NotThereError
    found = visit.services.closer.entered(session, instance, int(days) if days in DAYS else 0)
    row = next((row for row in found.rows if f"session:{session_id}" in row.evidence), None)
    kept = next((each for each in row.evidence if each.startswith("transcript:")), "") if row else ""
    if row is None or not kept:
        raise NotThereError
    key, _, version = kept.removeprefix("transcript:").rpartition("?versionId=")
    details = {"environment": name, "instance": instance, "session": session_id, "who": row.who}
    visit.services.recorder.record(visit.asked_by, READ, row.person or row.who, "recorded", details)
    body = session.ledger.objects.get(key, version)
    headers = {"Content-Disposition": f'attachment; filename="{instance}-{_file_name(session_id)}.log"'}
    return Response(body, media_type="text/plain; charset=utf-8", headers=headers)


def _enter(visit: Visit, session: Session, instance: str) -> str:
    """Return the command that enters the machine on record, for who may; "" for anybody else."""
    if not visit.may("server.enter", session.spec.team):
        return ""
    return commands.line(commands.enter_machine(session.spec.name, instance))


def _session(visit: Visit, name: str, instance: str) -> Session:
    """Return the environment's session; raises where the reader may not read its record."""
    if not (is_environment(name) and is_machine(instance)):
        raise NotThereError
    session = visit.environment(name, "record.read").session
    if session is None:
        raise NotThereError
    return session


def _periods(visit: Visit, chosen: str) -> tuple[Choice, ...]:
    _ = visit.reader.gettext
    texts = {days: visit.reader.ngettext("{count} day", "{count} days", int(days)) for days in DAYS}
    texts[EVER] = _("since it was started")
    return tuple(Choice(value=each, label=text, chosen=each == chosen) for each, text in texts.items())


def _row(visit: Visit, row: Row, here: str, days: str) -> EntranceLine:
    reader = visit.reader
    _ = reader.gettext
    who = row.person or row.who
    session = next((each for each in row.evidence if each.startswith("session:")), "").removeprefix(
        "session:"
    )
    query = urlencode({"session": session, "days": days})
    return EntranceLine(
        at=reader.moment(row.time),
        ended=reader.moment(row.ended) if row.ended else None,
        who=row.person or row.who.rpartition(":")[2],
        who_href=record_view.person_href(who) if who and record_view.reads_all(visit) else "",
        what=ways.way_name(reader, row.what),
        reason=row.reason,
        content=f"{ways.completeness_name(reader, row.completeness)}{f' ({row.error})' if row.error else ''}",
        tone=_tone(row),
        finding=_finding(visit, row),
        transcript=f"{here}/transcript?{query}" if row.completeness == "recorded" and session else "",
        evidence=row.evidence,
        sealed=_("covered by a signed digest") if row.sealed else _("no signed digest covers it yet"),
    )


def _tone(row: Row) -> Tone:
    if row.completeness in _BAD or (row.is_entry and not row.person):
        return "bad"
    return "good" if row.completeness == "recorded" else "plain"


def _finding(visit: Visit, row: Row) -> str:
    """Return what somebody has to explain of a row, as fleet/entered.py finds it."""
    _ = visit.reader.gettext
    texts = []
    if row.is_entry and not row.person:
        texts.append(_("Unexplained: nothing says which person that is."))
    if row.completeness == "recording missing":
        texts.append(_("There is no transcript of it."))
    if row.completeness in ("tunnel only", "not recorded"):
        texts.append(_("What was done is not recorded."))
    return " ".join(texts)


def _row_findings(found: Timeline) -> int:
    """Return how many of a timeline's findings are its rows'; those after them are the trail's."""
    alone = sum(row.is_entry and not row.person for row in found.rows)
    return alone + sum(row.completeness in _BAD for row in found.rows)


def _found_text(visit: Visit, findings: int, trail: tuple[str, ...]) -> str:
    _ = visit.reader.gettext
    if trail:
        return _("CloudTrail's files do not hold against its digests")
    if findings:
        return visit.reader.ngettext(
            "{count} thing that somebody has to explain",
            "{count} things that somebody has to explain",
            findings,
        )
    return _("nothing that somebody has to explain")


def _gaps(visit: Visit, found: Timeline) -> Iterator[Phrase]:
    for gap in found.gaps:
        text, language = ways.gap_name(visit.reader, gap)
        yield Phrase(text=text, language=language)


def _file_name(session_id: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]", "_", session_id)
