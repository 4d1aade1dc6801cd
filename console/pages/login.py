"""`/login` and `/logout`: in and out with a local account; every attempt is on record."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Response

from console.people import accounts, passwords, sessions, throttle
from console.recorder import asked_by
from console.web import cookies
from console.web.entering import enter, refuse
from console.web.next_page import company_path, safe_path
from console.web.visit import AnyGuest, Guest, see_other
from templates.console.login import LoginPage

router = APIRouter()


@router.get("/login")
def show(guest: AnyGuest, next: str = "/") -> Response:  # noqa: A002 - the name in the address
    """Show the form; who is signed in already goes on."""
    if guest.signed_in:
        return see_other(safe_path(next))
    return _form(guest, "", "", next)


@router.post("/login")
def sign_in(
    guest: AnyGuest,
    login: Annotated[str, Form(max_length=200)],
    password: Annotated[str, Form(max_length=1000)],
    next_page: Annotated[str, Form()] = "/",
) -> Response:
    """Sign in, where the password is the account's and not too many were tried before."""
    _ = guest.reader.gettext
    services = guest.services
    with services.database.reading() as database:
        if throttle.is_blocked(database, login, guest.address):
            fault = _("Too many attempts failed. Wait a quarter of an hour, then try again.")
            return _form(guest, login, fault, next_page, 429)
        kept = accounts.kept_password(database, login)
        person = accounts.read_person(database, kept[0]) if kept else None
    if not passwords.verify_password(kept[1] if kept else None, password) or person is None:
        refuse(guest, login, person, "console.login")
        return _form(guest, login, _("The login name or the password is wrong."), next_page, 401)
    services.recorder.record(asked_by(person, guest.address), "console.login", person.id, "succeeded")
    with services.database.writing() as database:
        throttle.forgive(database, login, guest.address)
    return enter(guest, person, next_page)


@router.post("/logout")
def sign_out(guest: AnyGuest) -> Response:
    """End this session; the browser's cookie is worth nothing from now on."""
    answer = see_other("/login")
    if guest.signed_in:
        with guest.services.database.writing() as database:
            sessions.end(database, guest.signed_in.secret)
        guest.services.recorder.record(
            guest.asked_by, "console.logout", guest.signed_in.person.id, "succeeded"
        )
    cookies.drop(answer, "session", guest.services.settings)
    return answer


def _form(guest: Guest, login: str, fault: str, next_page: str, status: int = 200) -> Response:
    page = LoginPage(
        frame=guest.frame(guest.reader.gettext("Sign in")),
        login=login,
        fault=fault,
        next_page=safe_path(next_page),
        by_company=company_path(next_page) if guest.services.provider else "",
    )
    return guest.page(page, status)
