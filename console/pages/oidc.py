"""`/login/oidc`: in by the company's identity provider, and a proof of who one is by the same way."""

from __future__ import annotations

import datetime

from fastapi import APIRouter, Response
from fastapi.responses import RedirectResponse

from console.people import accounts, tokens
from console.people.oidc import Identity, OidcError, Provider
from console.recorder import asked_by
from console.store.columns import utc_now
from console.web.entering import enter
from console.web.form_token import secret_of
from console.web.mistakes import NotThereError, RefusedError
from console.web.next_page import safe_path
from console.web.visit import AnyGuest, Guest

_MINUTES = 10
"""How long somebody may take at the provider."""
_PROOF_SECONDS = 120
"""How old a proof that was asked for may be when it comes back."""

router = APIRouter()


@router.get("/login/oidc")
def begin(guest: AnyGuest, next: str = "/") -> Response:  # noqa: A002 - the name in the address
    """Send the browser to the provider; what comes back counts for this browser alone, once."""
    provider = _provider(guest)
    begun = provider.begin(tokens.new_secret(), again=guest.signed_in is not None)
    about = {
        "nonce": begun.nonce,
        "verifier": begun.verifier,
        "next": safe_path(next),
        "browser": tokens.digest(secret_of(guest.request, guest.services)),
        "person": guest.signed_in.person.id if guest.signed_in else "",
    }
    with guest.services.database.writing() as database:
        tokens.keep(database, "oidc", begun.state, about, datetime.timedelta(minutes=_MINUTES))
    return guest.with_form_secret(RedirectResponse(begun.url, 303))


@router.get("/login/oidc/back")
def finish(guest: AnyGuest, state: str = "", code: str = "", iss: str = "", error: str = "") -> Response:
    """Take the browser back, and sign in whom the provider vouches for."""
    _ = guest.reader.gettext
    provider = _provider(guest)
    with guest.services.database.writing() as database:
        about = tokens.redeem(database, "oidc", state[:200])
    ours = about is not None and about["browser"] == tokens.digest(secret_of(guest.request, guest.services))
    if about is None or not ours or (iss and iss != provider.settings.issuer):
        _refuse(guest, "this browser did not begin it, or it is too old")
        raise RefusedError(_("This sign-in was not begun here, or it took too long. Begin it again."))
    if error or not code:
        _refuse(guest, f"the provider said: {error[:100]!r}")
        raise RefusedError(_("The identity provider did not let you in. Ask whoever runs it."))
    try:
        identity = provider.finish(code[:4000], about["nonce"], about["verifier"])
    except OidcError as trouble:
        _refuse(guest, str(trouble)[:500])
        raise
    return _enter(guest, identity, about)


def _enter(guest: Guest, identity: Identity, about: dict[str, str]) -> Response:
    """Sign the person in, who is made where they are new; they have no role until somebody gives them one."""
    _ = guest.reader.gettext
    services = guest.services
    again = bool(about["person"])
    with services.database.writing() as database:
        person = accounts.known_by(database, identity.issuer, identity.subject, identity.name)
        if person is not None:
            event = "console.prove" if again else "console.login"
            is_same = not again or (person.id == about["person"] and _is_proof(identity))
            if is_same:
                services.recorder.record(
                    asked_by(person, guest.address), event, person.id, "succeeded", within=database
                )
    if person is None:
        _refuse(guest, "the person is kept out")
        raise RefusedError(_("You are kept out of this console. Ask an administrator."))
    if not is_same:
        _refuse(guest, "another person came back, or one who was not asked for a proof")
        raise RefusedError(_("The identity provider did not prove that it is you. Try it again."))
    return enter(guest, person, about["next"])


def _is_proof(identity: Identity) -> bool:
    """Return whether the provider says that the person has proved just now who they are."""
    at = identity.authenticated_at
    return at is not None and utc_now() - at < datetime.timedelta(seconds=_PROOF_SECONDS)


def _refuse(guest: Guest, why: str) -> None:
    guest.services.recorder.record(guest.asked_by, "console.login", "unknown", "refused", {"why": why})


def _provider(guest: Guest) -> Provider:
    if guest.services.provider is None:
        raise NotThereError
    return guest.services.provider
