"""`/welcome`: the first account, for whoever has the token that the console printed on its terminal."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Response

from console.people import accounts, passwords, throttle, tokens
from console.people.accounts import Person
from console.recorder import asked_by
from console.store.database import Session
from console.web.entering import enter
from console.web.mistakes import NotThereError
from console.web.visit import AnyGuest, Guest
from console.words.reader import Reader
from fleet.policy import EVERY_TEAM, Grant
from templates.console.parts import Field
from templates.console.welcome import WelcomePage

FIRST_GRANTS = tuple(Grant(role, EVERY_TEAM) for role in ("admin", "operator", "auditor"))
"""What the first person may, until there are others to share it with."""
_THROTTLED = "the first account's token"

router = APIRouter()


@router.get("/welcome")
def show(guest: AnyGuest) -> Response:
    """Show the form, as long as there is no account."""
    _require_nobody(guest)
    return _form(guest, Field(), Field(), Field(), Field())


@router.post("/welcome")
def create(
    guest: AnyGuest,
    token: Annotated[str, Form(max_length=100)] = "",
    name: Annotated[str, Form(max_length=200)] = "",
    login: Annotated[str, Form(max_length=200)] = "",
    password: Annotated[str, Form(max_length=1000)] = "",
) -> Response:
    """Make the first account and sign it in."""
    _require_nobody(guest)
    fields = _checked(guest.reader, name.strip(), login, password)
    if any(field.fault for field in fields):
        return _form(guest, Field(value=token), *fields, status=422)
    _ = guest.reader.gettext
    services = guest.services
    with services.database.reading() as database:
        blocked = throttle.is_blocked(database, _THROTTLED, guest.address)
    if blocked:
        fault = _("Too many attempts failed. Wait a quarter of an hour, then try again.")
        return _form(guest, Field(fault=fault), *fields, status=429)
    with services.database.writing() as database:
        person = _first_person(guest, database, token, name.strip(), login, password)
        if person is None:
            throttle.note_failure(database, _THROTTLED, guest.address)
    if person is None:
        services.recorder.record(guest.asked_by, "console.first_account", "people", "failed")
        fault = _("This token is not the one on the terminal, or it is too old. Start the console again.")
        return _form(guest, Field(fault=fault), *fields, status=422)
    return enter(guest, person, "/")


def _first_person(
    guest: Guest, database: Session, token: str, name: str, login: str, password: str
) -> Person | None:
    """Use the token up and make the person, on record; None where the token is no good."""
    if tokens.redeem(database, "first", token.strip().upper()) is None:
        return None
    person = accounts.create_account(database, name=name, login=login, password=password, grants=FIRST_GRANTS)
    guest.services.recorder.record(
        asked_by(person, guest.address),
        "console.first_account",
        person.id,
        "succeeded",
        {"grants": [f"{grant.role} in {grant.team}" for grant in person.grants]},
        within=database,
    )
    return person


def _require_nobody(guest: Guest) -> None:
    with guest.services.database.reading() as database:
        if accounts.is_anybody_there(database):
            raise NotThereError


def _checked(reader: Reader, name: str, login: str, password: str) -> tuple[Field, Field, Field]:
    """Return the fields with what is wrong in each; the password is never sent back."""
    _ = reader.gettext
    said = {
        "short": _("It needs {shortest} characters at least.").format(shortest=passwords.SHORTEST),
        "long": _("It may have {longest} characters at most.").format(longest=passwords.LONGEST),
        "login": _("It must not contain the login name."),
        "same": _("It needs more different characters."),
    }
    wrong = " ".join(said[fault] for fault in passwords.faults(password, accounts.login_form(login)))
    printable = bool(name) and name.isprintable()
    return (
        Field(value=name, fault="" if printable else _("Say who you are.")),
        Field(
            value=login,
            fault=""
            if accounts.is_login(accounts.login_form(login))
            else _("Use 2 to 64 letters, digits and the characters . - _ @"),
        ),
        Field(fault=wrong),
    )


def _form(
    guest: Guest, token: Field, name: Field, login: Field, password: Field, status: int = 200
) -> Response:
    _ = guest.reader.gettext
    hint = _("At least {shortest} characters; a sentence is easier to remember than signs.")
    page = WelcomePage(
        frame=guest.frame(_("Make the first account")),
        token=token,
        name=name,
        login=login,
        password=password,
        password_hint=hint.format(shortest=passwords.SHORTEST),
    )
    return guest.page(page, status)
