"""Routes that take more than an ordinary form: an upload of some megabytes."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import Request
from fastapi.concurrency import run_in_threadpool
from fastapi.routing import APIRoute
from starlette.middleware.body_limit import RequestBodyLimitMiddleware
from starlette.types import Receive, Scope, Send


def large_forms(most_bytes: int) -> type[APIRoute]:
    """Return the class of routes whose requests may have so many bytes; what has more is refused unread."""
    return forms_by_sender(lambda request: most_bytes)


def forms_by_sender(most_bytes: Callable[[Request], int], most_fields: int = 0) -> type[APIRoute]:
    """Return the class of routes whose requests may have as many bytes as is said of who sends them.

    It is asked before anything is read, so that what fills a disk takes somebody who may bring it; 0 leaves
    it at what an ordinary form may have. Files go to the disk while they come, but what else is in it is
    held in memory: `most_fields` is how many such fields it may have, 0 for as many as any form has.
    """

    class LargeForms(APIRoute):
        async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
            most = await run_in_threadpool(most_bytes, Request(scope))
            if not most:
                await super().handle(scope, receive, send)
                return
            if most_fields:
                scope.setdefault("state", {})["most_fields"] = most_fields
            limited = RequestBodyLimitMiddleware(super().handle, max_body_size=most)
            await limited(scope, receive, send)

    return LargeForms
