"""`/session`: tells an open page that its reader is about to be signed out, and lets them stay."""

from __future__ import annotations

import datetime
from dataclasses import replace

from fastapi import APIRouter, Response

from console.people.sessions import SignedIn
from console.store.columns import utc_now
from console.web import session_end
from console.web.answers import came_from
from console.web.next_page import sign_in_path
from console.web.visit import AnyGuest, AnyVisit, Guest
from templates.console.session_end import SessionEnd

_AFTER = 1
"""Seconds after the end at which the page is told of it."""

router = APIRouter()


@router.get("/session")
def show(guest: AnyGuest) -> Response:
    """Send when the reader is signed out, once that is near or over; it is no use of the session."""
    return guest.page(_warning(guest, guest.signed_in) if guest.signed_in else _over(guest))


@router.post("/session")
def stay(visit: AnyVisit) -> Response:
    """Stay signed in: sending this is a use of the session."""
    assert visit.signed_in is not None, "a visit is somebody's"
    return visit.page(_warning(visit, replace(visit.signed_in, seen_at=utc_now())))


def _warning(guest: Guest, signed_in: SignedIn) -> SessionEnd:
    """Return the warning where the end is near, else only when to ask again."""
    _, limits = guest.reader.gettext, guest.services.settings.limits
    over_at = signed_in.over_at(limits)
    left = over_at - utc_now()
    if left > session_end.warned(limits):
        return SessionEnd(wait=session_end.wait(signed_in, limits))
    is_last = over_at == signed_in.ends_at
    text = _("You are signed out at {time}, for nothing was opened or sent for a while.")
    if is_last:
        text = _(
            "You are signed out at {time}: so long after signing in, one does it anew. Send what you began."
        )
    return SessionEnd(
        wait=_seconds(left) + _AFTER,
        text=text.format(time=guest.reader.moment(over_at).shown),
        may_stay=not is_last,
    )


def _seconds(left: datetime.timedelta) -> int:
    return max(0, round(left.total_seconds()))


def _over(guest: Guest) -> SessionEnd:
    text = guest.reader.gettext(
        "You are signed out. What you typed on this page was not sent: copy it if you need it."
    )
    return SessionEnd(wait=0, text=text, sign_in=sign_in_path(came_from(guest.request)))
