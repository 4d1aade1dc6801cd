"""A run's news as lines of server-sent events, for one watcher."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

from anyio import to_thread

from console.live.hub import Hub
from fleet.tail import News, Tail

_BUSY_SECONDS, _QUIET_SECONDS = 0.5, 2.0
"""Between two looks: while something comes, and while nothing does."""
_SILENT_SECONDS = 15.0
"""After so long something is sent though nothing is new: time goes on, and proxies close what is silent."""
_ASKED_AGAIN_SECONDS = 30.0
"""How long somebody who was signed out, or lost their role, goes on seeing."""
_RETRY_MS = 2000
"""How long a browser waits before it comes back."""


class Stream:
    """One watcher's stream."""

    def __init__(
        self, tail: Tail, told: Callable[[News], dict[str, Any]], may_go_on: Callable[[], bool], hub: Hub
    ) -> None:
        """Send what `told` makes of the tail's news, as long as the watcher may see it."""
        self._tail, self._told, self._may_go_on, self._hub = tail, told, may_go_on, hub

    async def lines(self) -> AsyncIterator[str]:
        """Yield the events until the run is over, or the watcher may not see it any more."""
        yield f"retry: {_RETRY_MS}\n\n"
        pause, spoke, asked = _BUSY_SECONDS, time.monotonic(), time.monotonic()
        while True:
            silent = time.monotonic() - spoke > _SILENT_SECONDS
            event, over = await to_thread.run_sync(self._look, silent, limiter=self._hub.limiter)
            if event:
                yield event
                pause, spoke = _BUSY_SECONDS, time.monotonic()
            if over:
                return
            if time.monotonic() - asked > _ASKED_AGAIN_SECONDS:
                asked = time.monotonic()
                if not await to_thread.run_sync(self._may_go_on, limiter=self._hub.limiter):
                    yield "event: bye\ndata: \n\n"
                    return
            await asyncio.sleep(pause)
            pause = min(_QUIET_SECONDS, pause * 1.5)

    def _look(self, silent: bool) -> tuple[str, bool]:
        """Return the next event, "" for none, and whether it is the last one."""
        news = self._tail.look()
        if not (news or news.over or silent):
            return "", False
        data = json.dumps(self._told(news), ensure_ascii=False, allow_nan=False)
        return f"id: {news.cursor}\nevent: news\ndata: {data}\n\n", news.over
