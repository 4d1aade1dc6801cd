"""In: a new session for somebody who has just proved who they are, whichever way."""

from __future__ import annotations

from fastapi import Response

from console.people import sessions
from console.people.accounts import Person
from console.web import cookies
from console.web.next_page import safe_path
from console.web.visit import Guest, see_other


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
