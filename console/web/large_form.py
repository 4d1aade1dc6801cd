"""Routes that take more than an ordinary form: an upload of some megabytes."""

from __future__ import annotations

from fastapi.routing import APIRoute
from starlette.middleware.body_limit import RequestBodyLimitMiddleware
from starlette.types import Receive, Scope, Send


def large_forms(most_bytes: int) -> type[APIRoute]:
    """Return the class of routes whose requests may have so many bytes; what has more is refused unread."""

    class LargeForms(APIRoute):
        async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
            limited = RequestBodyLimitMiddleware(super().handle, max_body_size=most_bytes)
            await limited(scope, receive, send)

    return LargeForms
