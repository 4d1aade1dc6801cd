"""Follows a run while it lasts: its events and its logs, each byte fetched once."""

from __future__ import annotations

import codecs
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from fleet.lost import is_lost
from fleet.run_logs import LOGS, extent, log_pieces, read_from
from fleet.run_store import FINAL_EVENTS, RunStore
from fleet.runs import events_of, read_events, read_run

_POLL_SECONDS, _LONGEST_POLL_SECONDS = 0.25, 0.5
"""Seconds between two looks: short while something comes, longer while nothing does. A line is sent within
about a second (node/log_stream.py), and is to be seen within two."""
_QUIET_POLL_SECONDS = 1.0
"""The same for a run that waits in the queue, and writes no log."""
_LOST_EVERY_SECONDS = 10.0


@dataclass(frozen=True)
class EventSeen:
    """An event of the run."""

    time: str
    event: str
    detail: dict[str, Any]


@dataclass(frozen=True)
class LogText:
    """The next piece of a node's log."""

    rank: int
    text: str


class _Logs:
    """How far each log has been read."""

    def __init__(self, store: RunStore, run_id: str, rank: int | None, *, new_only: bool = False) -> None:
        self._store, self._run_id, self._rank = store, run_id, rank
        known = log_pieces(store.sizes(run_id, LOGS)) if new_only else {}
        self._offsets = {rank: extent(pieces) for rank, pieces in known.items()}
        self._decoders: dict[int, codecs.IncrementalDecoder] = {}

    def news(self) -> Iterator[LogText]:
        for rank, pieces in log_pieces(self._store.sizes(self._run_id, LOGS)).items():
            if self._rank is not None and rank != self._rank:
                continue
            offset = self._offsets.get(rank, 0)
            data = read_from(self._store, self._run_id, pieces, offset)
            if data:
                self._offsets[rank] = offset + len(data)
                # A piece may end inside a character.
                utf8 = codecs.getincrementaldecoder("utf-8")
                decoder = self._decoders.setdefault(rank, utf8(errors="replace"))
                yield LogText(rank, decoder.decode(data))


def follow(
    store: RunStore, run_id: str, *, rank: int | None = None, new_only: bool = False
) -> Iterator[EventSeen | LogText]:
    """Yield the run's events and logs (of every node, or of `rank`) from its beginning until it has ended.

    Events are those of its latest attempt. `new_only` leaves out what the logs hold already: what earlier
    attempts wrote. It also ends, without a final event, where nobody carries out the run any more.
    """
    run = read_run(store, run_id)
    logs, seen = _Logs(store, run_id, rank, new_only=new_only), 0
    lost_looked_at, pause = time.monotonic(), _POLL_SECONDS
    while True:
        events = events_of(read_events(store, run_id), run.attempt)
        over = bool(events) and events[-1]["event"] in FINAL_EVENTS
        if over:
            yield from logs.news()  # what was written before the end comes before the end
        for event in events[seen:]:
            yield EventSeen(event["time"], event["event"], event["detail"])
        news = len(events) - seen
        seen = len(events)
        if over:
            return
        for piece in logs.news():
            news += 1
            yield piece
        if time.monotonic() - lost_looked_at > _LOST_EVERY_SECONDS:
            lost_looked_at = time.monotonic()
            run = read_run(store, run_id)
            if run.active and is_lost(store, run):
                return
        waits = not events or events[-1]["event"] == "QUEUED"
        longest = _QUIET_POLL_SECONDS if waits else _LONGEST_POLL_SECONDS
        pause = _POLL_SECONDS if news else min(longest, pause * 1.2)
        time.sleep(pause)


def read_logs(store: RunStore, run_id: str, *, rank: int | None = None) -> Iterator[LogText]:
    """Yield the run's logs as they are now."""
    read_run(store, run_id)
    yield from _Logs(store, run_id, rank).news()
