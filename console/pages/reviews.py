"""`/reviews`: each month's review of access and of logs; who signs is in the ledger."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from typing import Annotated, Any, get_args

from fastapi import APIRouter, Form, Response

from console.people import members, names
from console.people.members import Member
from console.records import reviews
from console.records.reviews import Kind, Month
from console.store import entry_rows, review_rows
from console.store.columns import utc_now
from console.store.record_tables import ReviewRow
from console.web import assets
from console.web.mistakes import NotThereError, RefusedError
from console.web.visit import AnyVisit, Visit, see_other
from console.words.codes import role_name
from fleet import commands
from fleet.policy import EVERY_TEAM
from templates.console.home import Tone
from templates.console.parts import Link
from templates.console.reviews import PersonRoles, ReviewLine, ReviewsPage

EVENT = "review.sign"

router = APIRouter()


@router.get("/reviews")
def show(visit: AnyVisit) -> Response:
    """Show what is due and what was signed, to who may."""
    visit.require("record.verify", EVERY_TEAM)
    return visit.page(_page(visit, ""))


@router.post("/reviews")
def sign(
    visit: AnyVisit,
    kind: Annotated[str, Form(max_length=16)] = "",
    period: Annotated[str, Form(max_length=7)] = "",
    note: Annotated[str, Form(max_length=1000)] = "",
) -> Response:
    """Sign one; with it goes what there was to look at: of access, everybody's roles as they are now."""
    visit.require("record.verify", EVERY_TEAM)
    _ = visit.reader.gettext
    today = utc_now().date()
    if kind not in get_args(Kind) or reviews.read_month(period, _begun(visit), today) is None:
        raise NotThereError
    if not note.strip():
        return visit.page(_page(visit, _("Say what was found, even where that is nothing.")), 422)
    said: dict[str, Any] = {"kind": kind, "period": period, "note": note.strip()}
    if kind == "access":
        said["people"] = [_kept(each) for each in _everybody(visit)]
    else:
        said["reviewed_to"] = visit.services.record.look().sequence
    with visit.services.database.writing() as database:
        if review_rows.is_signed(database, kind, period):
            raise RefusedError(_("Somebody has signed this review already."))
        review_rows.sign(database, kind, period, visit.person.id, said)
        target = f"{kind} {period}"
        visit.services.recorder.record(visit.asked_by, EVENT, target, "recorded", said, within=database)
    return see_other("/reviews")


def _begun(visit: Visit) -> datetime.date:
    """Return the day on which the record began; today, where it has not."""
    visit.services.record.look()
    with visit.services.database.reading() as database:
        first = entry_rows.get_row(database, 1)
    return first.at.date() if first else utc_now().date()


def _everybody(visit: Visit) -> list[Member]:
    with visit.services.database.reading() as database:
        return members.read_members(database, {EVERY_TEAM})


def _kept(member: Member) -> dict[str, Any]:
    person = member.person
    roles = [f"{grant.role} {grant.team}" for grant in person.grants]
    return {"id": person.id, "name": person.name, "roles": roles, "disabled": member.disabled}


def _page(visit: Visit, fault: str) -> ReviewsPage:
    _ = visit.reader.gettext
    today, begun = utc_now().date(), _begun(visit)
    due = list(reviews.months(begun, today))
    signed: dict[tuple[str, str], ReviewRow] = {}
    called: dict[str, str] = {}
    if due:
        with visit.services.database.reading() as database:
            rows = review_rows.since(database, due[-1].period)
            called = names.names_of(database, [row.person_id for row in rows])
        signed = {(row.kind, row.period): row for row in rows}
    late = sum(
        month.is_overdue(today) and (kind, month.period) not in signed
        for month in due
        for kind in reviews.KINDS
    )
    text = visit.reader.ngettext("{count} review is overdue.", "{count} reviews are overdue.", late)
    return ReviewsPage(
        frame=visit.frame(_("Reviews"), command=commands.line(commands.read_record(event=EVENT))),
        style=assets.url("record.css"),
        links=(Link(label=_("The whole record"), href="/record"),),
        overdue=text if late else "",
        fault=fault,
        reviews=tuple(
            _line(visit, kind, month, signed.get((kind, month.period)), called)
            for month in due
            for kind in reviews.KINDS
        ),
        empty="" if due else _("The first reviews are due when this month is over."),
        people=tuple(_people(visit)),
    )


def _line(
    visit: Visit, kind: Kind, month: Month, row: ReviewRow | None, called: dict[str, str]
) -> ReviewLine:
    _, reader = visit.reader.gettext, visit.reader
    titles = {"access": _("Review of access"), "log": _("Review of logs")}
    state, tone = _state(visit, month, signed=row is not None)
    return ReviewLine(
        kind=kind,
        period=month.period,
        month=reader.month(month.first),
        title=titles[kind],
        state=state,
        tone=tone,
        signed_by=called.get(row.person_id, row.person_id) if row else "",
        signed_at=reader.moment(row.at) if row else None,
        note=str(row.said.get("note", "")) if row else "",
        look=() if row else tuple(_look(visit, kind, month)),
    )


def _state(visit: Visit, month: Month, *, signed: bool) -> tuple[str, Tone]:
    _ = visit.reader.gettext
    if signed:
        return _("signed"), "good"
    if month.is_overdue(utc_now().date()):
        return _("overdue"), "bad"
    return _("due"), "busy"


def _look(visit: Visit, kind: Kind, month: Month) -> Iterator[Link]:
    """Yield what is to be looked at: the month's part of the record, from its end."""
    _ = visit.reader.gettext
    query = f"since={month.first}&until={month.last}"
    if kind == "access":
        yield Link(label=_("Roles that were given"), href=f"/record?event=people.grant&{query}")
        yield Link(label=_("Roles that were taken away"), href=f"/record?event=people.take&{query}")
        return
    yield Link(label=_("Sign-ins that failed"), href=f"/record?event=console.login&outcome=failed&{query}")
    yield Link(label=_("What was refused"), href=f"/record?outcome=refused&{query}")
    yield Link(label=_("Everything of this month"), href=f"/record?{query}")


def _people(visit: Visit) -> Iterator[PersonRoles]:
    _ = visit.reader.gettext
    for member in _everybody(visit):
        every = _("every team")
        roles = [
            f"{role_name(visit.reader, grant.role)}, {every if grant.team == EVERY_TEAM else grant.team}"
            for grant in member.person.grants
        ]
        yield PersonRoles(
            name=member.person.name,
            known_as=member.person.subject,
            roles="; ".join(roles),
            state=_("kept out") if member.disabled else _("may sign in"),
        )
