"""The console's cookies: who is signed in, whose form it is, and how a guest likes to read."""

from __future__ import annotations

from typing import Literal

from fastapi import Request, Response

from console.settings import Settings

Cookie = Literal["session", "form", "language", "zone", "theme"]
_SECRET: frozenset[Cookie] = frozenset({"session", "form"})
_YEAR_SECONDS = 365 * 86400


def name_of(cookie: Cookie, settings: Settings) -> str:
    """Return the name by which browsers keep it.

    Over TLS with the prefix that keeps other hosts of the domain from setting it; without TLS, which is this
    machine's own browser alone, no browser would take a name with that prefix.
    """
    return f"__Host-fleetform-{cookie}" if settings.secure else f"fleetform-{cookie}"


def read(request: Request, cookie: Cookie, settings: Settings) -> str:
    """Return what the browser holds, "" for nothing."""
    return request.cookies.get(name_of(cookie, settings), "")


def put(response: Response, cookie: Cookie, value: str, settings: Settings) -> None:
    """Have the browser hold it: what is secret until it is closed, a preference for a year."""
    secret = cookie in _SECRET
    response.set_cookie(
        name_of(cookie, settings),
        value,
        max_age=None if secret else _YEAR_SECONDS,
        path="/",
        secure=settings.secure,
        # The zone alone is set by a script of ours, which asks the browser.
        httponly=cookie != "zone",
        samesite="lax",
    )


def drop(response: Response, cookie: Cookie, settings: Settings) -> None:
    """Have the browser forget it."""
    response.delete_cookie(
        name_of(cookie, settings), path="/", secure=settings.secure, httponly=True, samesite="lax"
    )
