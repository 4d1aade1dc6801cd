"""Making a local account with a token that is good once: the first one's, or an invitation's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Annotated, Any

from fastapi import Depends, Form, Response

from console.people import accounts, passwords, throttle, tokens
from console.people.accounts import Person
from console.people.tokens import Purpose
from console.recorder import asked_by
from console.store.database import Session
from console.web.entering import enter
from console.web.visit import Guest
from console.words.reader import Reader
from fleet.policy import Grant
from templates.console.account import AccountPage
from templates.console.parts import Field


@dataclass(frozen=True)
class Sent:
    """The form as it was sent."""

    token: str
    name: str
    login: str
    password: str


@dataclass(frozen=True, kw_only=True)
class Kind:
    """What sets one way to an account apart from the other."""

    purpose: Purpose
    event: str
    """What the ledger calls it."""
    path: str
    title: str
    intro: str
    token_label: str
    bad_token: str
    """What to tell somebody whose token is no good."""
    grants: Callable[[dict[str, Any]], tuple[Grant, ...]]
    """The roles that come with a token, by what the token is about."""


def sent_form(
    token: Annotated[str, Form(max_length=100)] = "",
    name: Annotated[str, Form(max_length=200)] = "",
    login: Annotated[str, Form(max_length=200)] = "",
    password: Annotated[str, Form(max_length=1000)] = "",
) -> Sent:
    """Return the form's fields."""
    return Sent(token.strip(), name.strip(), login, password)


SentForm = Annotated[Sent, Depends(sent_form)]


def show_form(guest: Guest, kind: Kind) -> Response:
    """Show the form, with nothing in it."""
    return _page(guest, kind, _Fields(Field(), Field(), Field(), Field()), 200)


def make_account(guest: Guest, kind: Kind, sent: Sent) -> Response:
    """Make the account, on record, and sign it in; else show the form with what is wrong at its field."""
    _ = guest.reader.gettext
    database, fields = guest.services.database, _checked(guest.reader, sent)
    if fields.wrong:
        return _page(guest, kind, fields, 422)
    with database.reading() as reading:
        blocked = throttle.is_blocked(reading, kind.event, guest.address)
    if blocked:
        fault = _("Too many attempts failed. Wait a quarter of an hour, then try again.")
        return _page(guest, kind, fields.with_token("", fault), 429)
    try:
        with database.writing() as writing:
            person = _make(guest, writing, kind, sent)
            if person is None:
                throttle.note_failure(writing, kind.event, guest.address)
    except _TakenError:
        fault = _("Somebody else has this login name.")
        return _page(guest, kind, replace(fields, login=Field(value=sent.login, fault=fault)), 422)
    if person is None:
        guest.services.recorder.record(guest.asked_by, kind.event, "people", "failed")
        return _page(guest, kind, fields.with_token("", kind.bad_token), 422)
    return enter(guest, person, "/")


class _TakenError(Exception):
    """The login name is somebody's already; the token is not used up by that."""


@dataclass(frozen=True)
class _Fields:
    token: Field
    name: Field
    login: Field
    password: Field

    @property
    def wrong(self) -> bool:
        return any(each.fault for each in (self.token, self.name, self.login, self.password))

    def with_token(self, value: str, fault: str) -> _Fields:
        return replace(self, token=Field(value=value, fault=fault))


def _make(guest: Guest, database: Session, kind: Kind, sent: Sent) -> Person | None:
    """Use the token up and make the person; None where the token is no good."""
    about = tokens.redeem(database, kind.purpose, sent.token)
    if about is None:
        return None
    if not accounts.is_free(database, sent.login):
        raise _TakenError
    person = accounts.create_account(
        database,
        name=sent.name,
        login=sent.login,
        password=sent.password,
        grants=kind.grants(about),
        granted_by=str(about.get("by", "")),
    )
    grants = [f"{grant.role} in {grant.team}" for grant in person.grants]
    guest.services.recorder.record(
        asked_by(person, guest.address),
        kind.event,
        person.id,
        "succeeded",
        {"grants": grants, "invited_by": about.get("by", "")},
        within=database,
    )
    return person


def password_fault(reader: Reader, password: str, login: str) -> str:
    """Return what is wrong with a new password in one line, "" for nothing."""
    _ = reader.gettext
    said = {
        "short": _("It needs {shortest} characters at least.").format(shortest=passwords.SHORTEST),
        "long": _("It may have {longest} characters at most.").format(longest=passwords.LONGEST),
        "login": _("It must not contain the login name."),
        "same": _("It needs more different characters."),
    }
    return " ".join(said[fault] for fault in passwords.faults(password, accounts.login_form(login)))


def password_hint(reader: Reader) -> str:
    """Return what makes a good password."""
    _ = reader.gettext
    hint = _("At least {shortest} characters; a sentence is easier to remember than signs.")
    return hint.format(shortest=passwords.SHORTEST)


def _checked(reader: Reader, sent: Sent) -> _Fields:
    """Return the fields with what is wrong in each; the password is never sent back."""
    _ = reader.gettext
    named = bool(sent.name) and sent.name.isprintable()
    known_form = accounts.is_login(accounts.login_form(sent.login))
    letters = _("Use 2 to 64 letters, digits and the characters . - _ @")
    return _Fields(
        token=Field(value=sent.token),
        name=Field(value=sent.name, fault="" if named else _("Say who you are.")),
        login=Field(value=sent.login, fault="" if known_form else letters),
        password=Field(fault=password_fault(reader, sent.password, sent.login)),
    )


def _page(guest: Guest, kind: Kind, fields: _Fields, status: int) -> Response:
    page = AccountPage(
        frame=guest.frame(kind.title),
        intro=kind.intro,
        path=kind.path,
        token_label=kind.token_label,
        token=fields.token,
        name=fields.name,
        login=fields.login,
        password=fields.password,
        password_hint=password_hint(guest.reader),
    )
    return guest.page(page, status)
