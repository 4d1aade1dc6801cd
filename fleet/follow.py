"""Follows a run while it lasts: its events and its logs, each byte fetched once."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from fleet.lost import is_lost
from fleet.run_store import RunStore
from fleet.runs import events_of, read_events, read_run
from fleet.tail import Cursor, EventSeen, LogText, Tail, near_end

_POLL_SECONDS, _LONGEST_POLL_SECONDS = 0.25, 0.5
"""Seconds between two looks: short while something comes, longer while nothing does. A line is sent within
about a second (node/log_stream.py), and is to be seen within two."""
_QUIET_POLL_SECONDS = 1.0
"""The same for a run that waits in the queue, and writes no log."""
_LOST_EVERY_SECONDS = 10.0


def follow(
    store: RunStore, run_id: str, *, rank: int | None = None, new_only: bool = False
) -> Iterator[EventSeen | LogText]:
    """Yield the run's events and logs (of every node, or of `rank`) from its beginning until it has ended.

    Events are those of its latest attempt. `new_only` leaves out what the logs hold already: what earlier
    attempts wrote. It also ends, without a final event, where nobody carries out the run any more.
    """
    run, ranks = read_run(store, run_id), None if rank is None else frozenset({rank})
    earlier = _events_before(read_events(store, run_id), run.attempt)
    begin = replace(near_end(store, run_id, 0) if new_only else Cursor(), events=earlier)
    tail = Tail(store, run_id, begin, attempt=run.attempt, ranks=ranks, steps=False)
    lost_looked_at, pause = time.monotonic(), _POLL_SECONDS
    while True:
        news = tail.look()
        if news.over:  # what was written before the end comes before the end
            yield from news.logs
            yield from news.events
            return
        yield from news.events
        yield from news.logs
        if time.monotonic() - lost_looked_at > _LOST_EVERY_SECONDS:
            lost_looked_at = time.monotonic()
            run = read_run(store, run_id)
            if run.active and is_lost(store, run):
                return
        longest = _QUIET_POLL_SECONDS if tail.last_event in ("", "QUEUED") else _LONGEST_POLL_SECONDS
        pause = _POLL_SECONDS if news else min(longest, pause * 1.2)
        time.sleep(pause)


def read_logs(store: RunStore, run_id: str, *, rank: int | None = None) -> Iterator[LogText]:
    """Yield the run's logs as they are now."""
    run, ranks = read_run(store, run_id), None if rank is None else frozenset({rank})
    tail = Tail(store, run_id, Cursor(), attempt=run.attempt, ranks=ranks, steps=False)
    while found := tail.look().logs:
        yield from found


def _events_before(events: list[dict[str, Any]], attempt: int) -> int:
    """Return how many of the events are of earlier attempts."""
    return len(events) - len(events_of(events, attempt))
