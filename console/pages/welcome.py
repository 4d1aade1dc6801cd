"""`/welcome`: the first account, for whoever has the token that the console printed on its terminal."""

from __future__ import annotations

from dataclasses import replace

from fastapi import APIRouter, Response

from console.people import accounts
from console.web.account_form import Kind, SentForm, make_account, show_form
from console.web.mistakes import NotThereError
from console.web.visit import AnyGuest, Guest
from fleet.policy import EVERY_TEAM, Grant

FIRST_GRANTS = tuple(Grant(role, EVERY_TEAM) for role in ("admin", "operator", "auditor"))
"""What the first person may, until there are others to share it with."""

router = APIRouter()


@router.get("/welcome")
def show(guest: AnyGuest) -> Response:
    """Show the form, as long as there is no account."""
    _require_nobody(guest)
    return show_form(guest, _first(guest))


@router.post("/welcome")
def create(guest: AnyGuest, sent: SentForm) -> Response:
    """Make the first account and sign it in."""
    _require_nobody(guest)
    return make_account(guest, _first(guest), replace(sent, token=sent.token.upper()))


def _require_nobody(guest: Guest) -> None:
    with guest.services.database.reading() as database:
        if accounts.is_anybody_there(database):
            raise NotThereError


def _first(guest: Guest) -> Kind:
    _ = guest.reader.gettext
    return Kind(
        purpose="first",
        event="console.first_account",
        path="/welcome",
        title=_("Make the first account"),
        intro=_(
            "Nobody has an account here yet. Whoever started this console has a token on the terminal; with "
            "it the first account is made. It may manage people, build and tear down environments, and read "
            "the record, until others share that with it."
        ),
        token_label=_("Token from the terminal"),
        bad_token=_("This token is not the one on the terminal, or it is too old. Start the console again."),
        grants=lambda about: FIRST_GRANTS,
    )
