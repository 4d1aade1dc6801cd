"""Requests that change something come from our own pages, and every request names our own host."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


class SameOrigin:
    """Refuses what another site's page sends, by what the browser says of where it comes from.

    Browsers say it in `Sec-Fetch-Site`; one that does not, in `Origin`. What says neither is refused: no page
    of ours sends it. Another host name than ours may be one that an attacker has pointed at this address.
    """

    def __init__(self, app: ASGIApp, *, public_url: str, public_host: str) -> None:
        """Wrap an app that browsers reach by that URL."""
        self.app = app
        self._url, self._host = public_url, public_host

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        if headers.get("host", "") != self._host:
            await PlainTextResponse("unknown host", 421)(scope, receive, send)
        elif scope["method"] not in SAFE and not self._is_ours(headers):
            await PlainTextResponse("sent by another site", 403)(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    def _is_ours(self, headers: Headers) -> bool:
        site = headers.get("sec-fetch-site")
        if site is not None:
            return site == "same-origin"
        return headers.get("origin") == self._url
