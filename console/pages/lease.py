"""`/environments/NAME/lease`: when an environment ends, what happens then, and putting that off."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from typing import Annotated

from fastapi import APIRouter, Form, Response

from console.acts import start
from console.acts.spec import Extend
from console.estate import Standing
from console.pages import act_view
from console.web import assets
from console.web.visit import AnyVisit, Visit, see_other
from console.words.codes import role_name
from console.words.reader import Reader
from fleet import commands
from fleet.extension import other_changes
from fleet.lease import LeaseStatus, read_lease, standing_stacks
from fleet.policy import RIGHTS
from fleet.session import Session
from stacks.problems import UserError
from templates.console.home import Figure, Tone
from templates.console.lease import LeasePage
from templates.console.parts import Choice, Field, Link

DAYS = (1, 2, 3, 7, 14, 30, 60, 90)
"""By how many days an end can be put off; the latest day of all is offered besides."""
_SOON = 7
LONGEST = 300
"""Of a reason."""

router = APIRouter()


@router.get("/environments/{name}/lease")
def show(visit: AnyVisit, name: str) -> Response:
    """Show when it ends, and to whoever may put that off, the form for it."""
    standing = visit.environment(name)
    session = _open(standing)
    return visit.page(_page(visit, standing, session, read_lease(session), Field(), Field()))


@router.post("/environments/{name}/lease")
def extend(
    visit: AnyVisit,
    name: str,
    until: Annotated[str, Form(max_length=20)] = "",
    reason: Annotated[str, Form(max_length=LONGEST)] = "",
) -> Response:
    """Put the end off to one of the days that are offered, for a reason."""
    _ = visit.reader.gettext
    standing = visit.environment(name, "lease.extend")
    session = _open(standing)
    status, why = read_lease(session), " ".join(reason.split())
    until_field, reason_field = Field(value=until), Field(value=why)
    if until not in {day.isoformat() for day in days_to_choose(status)}:
        until_field = Field(value=until, fault=_("Choose one of these days."))
    if not why:
        reason_field = Field(fault=_("Say why in a few words."))
    if until_field.fault or reason_field.fault or _why_not(visit, standing, session, status)[0]:
        return visit.page(_page(visit, standing, session, status, until_field, reason_field), 422)
    act = Extend(environment=name, until=datetime.date.fromisoformat(until), reason=why)
    return see_other(f"/acts/{start.start(act_view.place_of(visit), visit.person.id, visit.asked_by, act)}")


def days_to_choose(status: LeaseStatus) -> list[datetime.date]:
    """Return the days to which the end may be put off, the latest among them, earliest first."""
    last = max(status.declared, status.standing or status.declared)
    begin = max(last, status.today - datetime.timedelta(days=1))  # one that is over goes on from today
    if begin >= status.latest:
        return []
    days = {begin + datetime.timedelta(days=days) for days in DAYS}
    return sorted({day for day in days if day < status.latest} | {status.latest})


def _open(standing: Standing) -> Session:
    """Return the session of an environment; raises UserError where its file can't be read."""
    if standing.session is None:
        raise UserError(standing.problems)
    return standing.session


def _page(
    visit: Visit, standing: Standing, session: Session, status: LeaseStatus, until: Field, reason: Field
) -> LeasePage:
    _, reader = visit.reader.gettext, visit.reader
    end = status.standing or status.declared
    why_not, about = _why_not(visit, standing, session, status)
    state, tone = _state(reader, status)
    return LeasePage(
        frame=visit.frame(
            _("Lease of {name}").format(name=standing.name),
            command=commands.line(commands.show_lease(standing.name)),
        ),
        style=assets.url("home.css"),
        path=f"/environments/{standing.name}/lease",
        ends=reader.moment(
            datetime.datetime.combine(end + datetime.timedelta(days=1), datetime.time(), datetime.UTC)
        ),
        state=state,
        tone=tone,
        figures=tuple(_figures(reader, status)),
        happens=tuple(_happens(reader, status)),
        notices=(
            _("Nothing that stands is replaced; machines that the lease had ended are started again."),
            _("A lease ends with a day, at midnight UTC."),
        ),
        choices=() if why_not else tuple(_choices(reader, status, until.value)),
        until=until,
        reason=reason,
        why_not=why_not,
        why_not_about=about,
        links=(Link(label=_("To the environment"), href=f"/environments/{standing.name}"),),
    )


def _state(reader: Reader, status: LeaseStatus) -> tuple[str, Tone]:
    _ = reader.gettext
    if status.is_over:
        return _("over"), "bad"
    if status.days_left == 0:
        return _("ends today"), "bad"
    text = reader.ngettext("{count} day left", "{count} days left", status.days_left)
    return text, "bad" if status.days_left <= 1 else "busy" if status.days_left <= _SOON else "good"


def _figures(reader: Reader, status: LeaseStatus) -> Iterator[Figure]:
    _ = reader.gettext
    yield Figure(label=_("Last day, UTC"), value=reader.day(status.standing or status.declared), note="")
    if status.standing is None:
        note = _("Nothing in the cloud ends it: it is not built.")
        yield Figure(label=_("In the cloud"), value=_("no end is set"), note=note)
    elif status.standing != status.declared:
        note = _("It holds from the next build on.")
        yield Figure(label=_("In its file"), value=reader.day(status.declared), note=note)
    yield Figure(label=_("It may be put off today until"), value=reader.day(status.latest), note="")
    if status.at_rest:
        yield Figure(label=_("Held at no machine"), value=", ".join(status.at_rest), note="")


def _happens(reader: Reader, status: LeaseStatus) -> Iterator[str]:
    _ = reader.gettext
    yield _("The account itself ends its machines, whatever runs on them, and none can be started any more.")
    yield _(
        "Data stays as it is: buckets, file systems, keys and the network. What of that costs money goes on."
    )
    days = ", ".join(str(day) for day in status.warn_days)
    if days and status.emails:
        text = _("So many days before, a mail warns of it: {days}. It goes to {emails}.")
        yield text.format(days=days, emails=", ".join(status.emails))
    elif days:
        text = _("So many days before, a mail warns whoever looks after the account: {days}.")
        yield text.format(days=days)


def _choices(reader: Reader, status: LeaseStatus, chosen: str) -> Iterator[Choice]:
    last = max(status.declared, status.standing or status.declared)
    for day in days_to_choose(status):
        more = reader.ngettext("{count} day more", "{count} days more", (day - last).days)
        yield Choice(
            value=day.isoformat(), label=f"{reader.day(day)} ({more})", chosen=day.isoformat() == chosen
        )


def _why_not(
    visit: Visit, standing: Standing, session: Session, status: LeaseStatus
) -> tuple[str, tuple[str, ...]]:
    """Return why there is no form, and the settings that this is about; "" where there is a form."""
    _ = visit.reader.gettext
    if not any(visit.may("lease.extend", team) for team in standing.teams):
        roles = ", ".join(role_name(visit.reader, role) for role in RIGHTS if "lease.extend" in RIGHTS[role])
        return _("Your role does not include this. It takes: {roles}.").format(roles=roles), ()
    if not standing_stacks(session):
        return _("It is not built, so there is nothing to put off. Its file says when it would end."), ()
    if not days_to_choose(status):
        return _("It ends as late as the account allows. Come back when the end is nearer."), ()
    if others := other_changes(session):
        text = _(
            "Its file says more differently from what stands, which would be applied with it. Build first:"
        )
        return text, tuple(each.path for each in others)
    return "", ()
