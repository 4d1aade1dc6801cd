"""Catches what no page expects: even then the answer is a page, and says what holds."""

from __future__ import annotations

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from console.web.answers import answer_to_trouble


class Troubles:
    """Answers to whatever the app raises: a cloud that refuses, a ledger out of reach, our own bugs."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap an app."""
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        started = False

        async def noted(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self.app(scope, receive, noted)
        except Exception as error:
            if started or scope["type"] != "http":
                raise
            answer = await run_in_threadpool(answer_to_trouble, Request(scope, receive), error)
            await answer(scope, receive, send)
