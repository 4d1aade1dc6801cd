"""In, or not: a new session for somebody who has proved who they are, and what failed to prove it."""

from __future__ import annotations

from fastapi import Response

from console.people import sessions, throttle
from console.people.accounts import Person, login_form
from console.recorder import Outcome
from console.web import cookies
from console.web.next_page import safe_path
from console.web.visit import Guest, see_other


def refuse(guest: Guest, login: str, person: Person | None, event: str) -> None:
    """Count an attempt to prove who one is that failed, and put it on record.

    By its name only where there is such an account: what was typed for a login name may be a password. The
    attempt that is one too many is recorded as a refusal, and those after it, which are not looked at, no
    more: nobody fills the record from outside.
    """
    database = guest.services.database
    with database.writing() as writing:
        throttle.note_failure(writing, login, guest.address)
    with database.reading() as reading:
        blocked = throttle.is_blocked(reading, login, guest.address)
    details = {"login": login_form(login) if person else "unknown", "blocked_from_now": blocked}
    outcome: Outcome = "refused" if blocked else "failed"
    guest.services.recorder.record(
        guest.asked_by, event, person.id if person else "unknown", outcome, details
    )


def enter(guest: Guest, person: Person, then: str) -> Response:
    """Sign the browser in and lead on; the session that it had, and its form token, are good no more."""
    services = guest.services
    with services.database.writing() as database:
        sessions.forget_over(database)
        if guest.signed_in:
            sessions.end(database, guest.signed_in.secret)
        secret = sessions.begin(
            database,
            person.id,
            services.settings.limits,
            address=guest.address,
            agent=guest.request.headers.get("user-agent", ""),
        )
    answer = see_other(safe_path(then))
    cookies.put(answer, "session", secret, services.settings)
    cookies.drop(answer, "form", services.settings)
    return answer
