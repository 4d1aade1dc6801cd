"""The form token: a form counts only with the token that was in the page that this browser was given."""

from __future__ import annotations

import hmac

from fastapi import Request

from console.people.tokens import new_secret
from console.services import Services
from console.web import cookies
from console.web.mistakes import FormError
from console.web.same_origin import SAFE

FIELD, HEADER = "form_token", "x-form-token"
_FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")


def token_of(secret: str) -> str:
    """Return the token that goes with a session, or, before there is one, with a cookie of its own.

    Only who knows the cookie's value can tell it, and other sites' scripts do not. It ends with the session.
    """
    return hmac.new(secret.encode(), b"form", "sha256").hexdigest()


def secret_of(request: Request, services: Services) -> str:
    """Return the secret that the forms of this browser hang on: one that it has, else a new one."""
    held = cookies.read(request, "session", services.settings)
    held = held or cookies.read(request, "form", services.settings)
    if not held:
        held = getattr(request.state, "new_form_secret", "") or new_secret()
        request.state.new_form_secret = held
    return held


async def checked_form(request: Request) -> None:
    """Raise FormError where a request that changes something lacks the token: a condition of every route."""
    if request.method in SAFE:
        return
    sent = request.headers.get(HEADER, "")
    if not sent and request.headers.get("content-type", "").startswith(_FORMS):
        field = (await request.form()).get(FIELD)
        sent = field if isinstance(field, str) else ""
    wanted = token_of(secret_of(request, request.app.state.services))
    if not hmac.compare_digest(sent.encode(), wanted.encode()):
        raise FormError
