"""Answers to what goes wrong: mistakes of people, refusals, trouble of the cloud, bugs."""

from __future__ import annotations

import logging
import secrets

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from console.web.mistakes import (
    FormError,
    NotAllowedError,
    NotProvedError,
    NotSignedInError,
    NotThereError,
    RefusedError,
)
from console.web.next_page import prove_path, sign_in_path
from console.web.same_origin import SAFE
from console.web.visit import Guest, guest_of, see_other
from console.words.codes import role_name
from console.words.said import problems
from fleet.aws import is_cloud_error
from fleet.errors import ActError
from fleet.ledger import LedgerError
from stacks.problems import UserError
from templates.console.problem import ProblemPage, Said

_LOG = logging.getLogger("fleetform.console")
PART = "hx-request"
"""The header by which htmx asks for a part of the page that it is on."""


def install(app: FastAPI) -> None:
    """Have the app answer with these pages to what pages raise on purpose."""
    app.add_exception_handler(NotSignedInError, _sign_in)
    app.add_exception_handler(NotProvedError, _prove)
    app.add_exception_handler(NotThereError, _not_there)
    app.add_exception_handler(NotAllowedError, _not_allowed)
    app.add_exception_handler(RefusedError, _refused)
    app.add_exception_handler(FormError, _form)
    app.add_exception_handler(RequestValidationError, _malformed)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(UserError, _mistakes)


def _sign_in(request: Request, error: Exception) -> Response:
    return _lead(request, sign_in_path(came_from(request)))


def _prove(request: Request, error: Exception) -> Response:
    return _lead(request, prove_path(came_from(request)))


def _lead(request: Request, path: str) -> Response:
    """Lead to another page; where a part of a page was asked for, the whole page goes there."""
    if PART in request.headers:
        return Response(status_code=204, headers={"HX-Redirect": path})
    return see_other(path)


def came_from(request: Request) -> str:
    """Return the page to come back to: this one; of a form or a part of a page, the page that it is on."""
    if request.method not in SAFE or PART in request.headers:
        ours: str = request.app.state.services.settings.public_url
        referer = request.headers.get("referer", "")
        return referer.removeprefix(ours) if referer.startswith(f"{ours}/") else "/"
    return f"{request.url.path}?{request.url.query}" if request.url.query else request.url.path


def _not_there(request: Request, error: Exception) -> Response:
    guest = guest_of(request)
    _ = guest.reader.gettext
    text = _("There is nothing under this address, or it is not yours to see.")
    return _page(guest, 404, _("Not here"), text)


def _not_allowed(request: Request, error: Exception) -> Response:
    assert isinstance(error, NotAllowedError)
    guest = guest_of(request)
    _ = guest.reader.gettext
    roles = ", ".join(role_name(guest.reader, role) for role in error.roles)
    text = _("Your role does not include this. It takes: {roles}. An administrator grants roles.")
    return _page(guest, 403, _("Not allowed"), text.format(roles=roles))


def _form(request: Request, error: Exception) -> Response:
    guest = guest_of(request)
    _ = guest.reader.gettext
    text = _("This form belongs to an earlier sign-in. Open the page again, and send it once more.")
    return _page(guest, 403, _("The form is out of date"), text)


def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, RefusedError)
    guest = guest_of(request)
    return _page(guest, 409, guest.reader.gettext("This can't be done as it stands"), error.text)


def _malformed(request: Request, error: Exception) -> Response:
    guest = guest_of(request)
    _ = guest.reader.gettext
    return _page(guest, 422, _("Not understood"), _("Something in this request is missing or malformed."))


def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 404:
        return _not_there(request, error)
    guest = guest_of(request)
    _ = guest.reader.gettext
    if error.status_code == 413:
        return _page(guest, 413, _("Too large"), _("What was sent is larger than this page takes."))
    return _page(guest, error.status_code, _("Not understood"), _("This page does not take such a request."))


def _mistakes(request: Request, error: Exception) -> Response:
    assert isinstance(error, UserError)
    if isinstance(error, ActError):  # the console's own role was refused: no mistake of whoever asks
        return answer_to_trouble(request, error)
    guest = guest_of(request)
    _ = guest.reader.gettext
    said = problems(guest.reader, error.problems)
    return _page(guest, 422, _("This can't be done as it stands"), "", said)


def answer_to_trouble(request: Request, error: Exception) -> Response:
    """Answer to a cloud that refuses, a ledger that can't be written, and to bugs of ours."""
    guest = guest_of(request)
    _ = guest.reader.gettext
    if isinstance(error, LedgerError):
        text = _("The record can't be written now, so nothing was done. Try again later.")
        return _page(guest, 503, _("Not on record, so not done"), text, (Said(what=str(error), do=""),))
    if isinstance(error, ActError) or is_cloud_error(error):
        text = _("The cloud refused, or did not answer. Nothing else is known.")
        return _page(guest, 502, _("Trouble in the cloud"), text, (Said(what=str(error), do=""),))
    number = secrets.token_hex(4)
    _LOG.error("unexpected %s", number, exc_info=error)
    text = _("This is a mistake of ours. Whoever runs this console finds it in its log under {number}.")
    return _page(guest, 500, _("Something broke"), text.format(number=number))


def _page(guest: Guest, status: int, title: str, text: str, said: tuple[Said, ...] = ()) -> Response:
    return guest.page(ProblemPage(frame=guest.frame(title), text=text, said=said), status)
