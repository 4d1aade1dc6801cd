"""`/me`: where I am signed in, which roles I have, and another password for myself."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Response

from console.people import accounts, sessions
from console.people.sessions import OpenSession
from console.web.account_form import password_fault, password_hint
from console.web.visit import AnyVisit, Visit, see_other
from console.words import browsers
from console.words.codes import role_name
from console.words.reader import Reader
from fleet.policy import EVERY_TEAM
from templates.console.me import MePage, SessionLine
from templates.console.parts import Field, Notice

router = APIRouter()


@router.get("/me")
def show(visit: AnyVisit, changed: bool = False) -> Response:
    """Show the person to themselves."""
    text = visit.reader.gettext("The password is changed. Your other browsers are signed out.")
    return _page(visit, Field(), (Notice(tone="good", text=text),) if changed else ())


@router.post("/me/end-others")
def end_others(visit: AnyVisit) -> Response:
    """Sign all other browsers of this person out."""
    assert visit.signed_in is not None, "a visit is somebody's"
    with visit.services.database.writing() as database:
        count = sessions.end_all(database, visit.person.id, but=visit.signed_in.secret)
        details = {"ended": count}
        visit.services.recorder.record(
            visit.asked_by, "console.end_sessions", visit.person.id, "succeeded", details, within=database
        )
    return see_other("/me")


@router.post("/me/password")
def change_password(visit: AnyVisit, password: Annotated[str, Form(max_length=1000)] = "") -> Response:
    """Change the password of a local account, and sign all other browsers out."""
    visit.require_fresh()
    assert visit.signed_in is not None, "a visit is somebody's"
    fault = password_fault(visit.reader, password, visit.person.subject)
    if fault:
        return _page(visit, Field(fault=fault), (), 422)
    with visit.services.database.writing() as database:
        accounts.set_password(database, visit.person.id, password)
        sessions.end_all(database, visit.person.id, but=visit.signed_in.secret)
        visit.services.recorder.record(
            visit.asked_by, "console.change_password", visit.person.id, "succeeded", within=database
        )
    return see_other("/me?changed=true")


def _page(visit: Visit, password: Field, notices: tuple[Notice, ...], status: int = 200) -> Response:
    assert visit.signed_in is not None, "a visit is somebody's"
    _, reader, person = visit.reader.gettext, visit.reader, visit.person
    with visit.services.database.reading() as database:
        found = sessions.open_sessions(
            database, person.id, visit.signed_in.secret, visit.services.settings.limits
        )
    page = MePage(
        frame=visit.frame(person.name, notices=notices),
        record=f"/record/people/{person.id}",
        roles=tuple(
            f"{role_name(reader, grant.role)}, {_('every team') if grant.team == EVERY_TEAM else grant.team}"
            for grant in person.grants
        ),
        sessions=tuple(_line(reader, each) for each in found),
        has_password=person.issuer == accounts.LOCAL,
        password=password,
        password_hint=password_hint(reader),
    )
    return visit.page(page, status)


def _line(reader: Reader, session: OpenSession) -> SessionLine:
    return SessionLine(
        browser=browsers.name(session.agent) or reader.gettext("not known"),
        agent=session.agent,
        address=session.address,
        since=reader.moment(session.created_at),
        seen=reader.moment(session.seen_at),
        here=session.here,
    )
