"""`/join`: an account for somebody who was invited, with the roles that the invitation gives."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Response

from console.people.members import role_of
from console.web.account_form import Kind, SentForm, make_account, show_form
from console.web.visit import AnyGuest, Guest
from fleet.policy import Grant

router = APIRouter()


@router.get("/join")
def show(guest: AnyGuest) -> Response:
    """Show the form."""
    return show_form(guest, _invited(guest))


@router.post("/join")
def create(guest: AnyGuest, sent: SentForm) -> Response:
    """Make the account and sign it in."""
    return make_account(guest, _invited(guest), sent)


def _grants(about: dict[str, Any]) -> tuple[Grant, ...]:
    return (Grant(role_of(about["role"]), str(about["team"])),)


def _invited(guest: Guest) -> Kind:
    _ = guest.reader.gettext
    return Kind(
        purpose="invitation",
        event="console.join",
        path="/join",
        title=_("Make your account"),
        intro=_("Whoever invited you has given you a token. With it you make your account."),
        token_label=_("Token of the invitation"),
        bad_token=_("This token is used up, too old, or none of ours. Ask for another invitation."),
        grants=_grants,
    )
