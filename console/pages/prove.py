"""`/prove`: who is signed in gives the password again, before what destroys, exports or changes rights."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Response

from console.people import accounts, passwords, throttle
from console.web.entering import enter, refuse
from console.web.next_page import company_path, safe_path
from console.web.visit import AnyVisit, Visit
from templates.console.prove import ProvePage

router = APIRouter()


@router.get("/prove")
def show(visit: AnyVisit, next: str = "/") -> Response:  # noqa: A002 - the name in the address
    """Show the form; whom the company's provider vouches for proves it there."""
    return _form(visit, "", next)


@router.post("/prove")
def prove(
    visit: AnyVisit,
    password: Annotated[str, Form(max_length=1000)],
    next_page: Annotated[str, Form()] = "/",
) -> Response:
    """Begin a new session, which is fresh, where the password is right."""
    _ = visit.reader.gettext
    person, database = visit.person, visit.services.database
    with database.reading() as reading:
        if throttle.is_blocked(reading, person.subject, visit.address):
            fault = _("Too many attempts failed. Wait a quarter of an hour, then try again.")
            return _form(visit, fault, next_page, 429)
        kept = accounts.kept_password(reading, person.subject) if person.issuer == accounts.LOCAL else None
    if not passwords.verify_password(kept[1] if kept else None, password):
        refuse(visit, person.subject, person, "console.prove")
        return _form(visit, _("The password is wrong."), next_page, 401)
    visit.services.recorder.record(visit.asked_by, "console.prove", person.id, "succeeded")
    return enter(visit, person, next_page)


def _form(visit: Visit, fault: str, next_page: str, status: int = 200) -> Response:
    frame = visit.frame(visit.reader.gettext("Is it you?"))
    by_company = visit.person.issuer != accounts.LOCAL
    page = ProvePage(
        frame=frame,
        fault=fault,
        next_page=safe_path(next_page),
        by_company=company_path(next_page) if by_company else "",
    )
    return visit.page(page, status)
