"""What is new of a run since a place in its directory: events, steps and logs, each byte fetched once.

The place is a text that any page, process or person can keep and come back with, so that whoever was cut off
goes on there: nothing is lost, and nothing comes twice.
"""

from __future__ import annotations

import codecs
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from fleet.run_logs import LOGS, Piece, RunFiles, extent, log_pieces, read_from
from fleet.run_store import FINAL_EVENTS
from fleet.runs import parse_events
from fleet.steps_seen import parse_steps
from stacks.problems import UserError

EVENTS, METRICS = "events.jsonl", "metrics.jsonl"
_MOST_BYTES = 1024 * 1024
"""How much of one log a look brings; a longer one comes in several."""
_MARKED = 256
"""So many bytes before a place in metrics.jsonl say whether it still is the same file up to there."""
_CURSOR = re.compile(r"e(\d{1,9})\.m(\d{1,15})(?:-([0-9a-f]{8}))?((?:\.l\d{1,6}-\d{1,15})*)", re.ASCII)


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
    anew: bool = False
    """Whether the log has begun again, as another one than before."""


@dataclass(frozen=True)
class Cursor:
    """A place in a run's directory: how much of it somebody has seen."""

    events: int = 0
    """Of all attempts."""
    metrics: int = 0
    """Bytes."""
    mark: str = ""
    """Of the bytes before that place."""
    logs: Mapping[int, int] = field(default_factory=dict)
    """Bytes of each log, by its node's rank."""

    def __str__(self) -> str:
        """Return it as text: `e3.m8192-1a2b3c4d.l0-51200`."""
        mark = f"-{self.mark}" if self.mark else ""
        logs = "".join(f".l{rank}-{offset}" for rank, offset in sorted(self.logs.items()))
        return f"e{self.events}.m{self.metrics}{mark}{logs}"

    @classmethod
    def parse(cls, text: str) -> Cursor:
        """Return the place that a text names; raises UserError where it names none."""
        found = _CURSOR.fullmatch(text)
        if found is None:
            what = f"{text[:80]!r} is no place in a run's directory"
            raise UserError.of(what, "load the page again", path="from")
        logs = (each.split("-") for each in found[4].split(".l")[1:])
        return cls(int(found[1]), int(found[2]), found[3] or "", {int(rank): int(at) for rank, at in logs})


@dataclass(frozen=True)
class News:
    """What came since the last look."""

    cursor: Cursor
    """The place that it reaches to."""
    events: tuple[EventSeen, ...]
    steps: tuple[dict[str, Any], ...]
    steps_anew: bool
    """Whether these are all steps from the first one on: an attempt has gone back behind what was seen."""
    logs: tuple[LogText, ...]
    over: bool
    """Whether the attempt has ended, and all that it left is seen."""

    def __bool__(self) -> bool:
        """Return whether there is anything new."""
        return bool(self.events or self.steps or self.steps_anew or self.logs)


class Tail:
    """Looks at one run again and again, from a place on."""

    def __init__(
        self, store: RunFiles, run_id: str, cursor: Cursor, *,
        attempt: int = 1, ranks: frozenset[int] | None = None, steps: bool = True,
    ) -> None:  # fmt: skip
        """Contact nothing yet; `ranks` are the nodes whose logs are looked at, None for all."""
        self._store, self._run_id, self._attempt = store, run_id, attempt
        self._ranks, self._with_steps = ranks, steps
        self.cursor = cursor
        self._events: list[dict[str, Any]] = []
        self._etags = {EVENTS: "", METRICS: ""}
        self._unfinished: dict[int, int] = {}
        """Bytes at the end of a log that are part of a character."""
        self._shorter: frozenset[int] = frozenset()

    @property
    def last_event(self) -> str:
        """The name of the last event seen, "" before there is one."""
        return str(self._events[-1]["event"]) if self._events else ""

    def look(self) -> News:
        """Return what is new. The last event comes once all that was written before it has come."""
        body = self._changed(EVENTS)
        if body is not None:
            self._events = parse_events(body)
        ended = sum(each["event"] in FINAL_EVENTS for each in self._events) >= self._attempt
        logs, whole = self._new_logs(ended=ended)
        steps, anew = self._new_steps() if self._with_steps else ([], False)
        events = [] if ended and not whole else self._events[self.cursor.events :]
        self.cursor = replace(self.cursor, events=self.cursor.events + len(events))
        seen = tuple(EventSeen(each["time"], each["event"], each["detail"]) for each in events)
        return News(self.cursor, seen, tuple(steps), anew, tuple(logs), ended and whole)

    def _changed(self, name: str, start: int = 0) -> bytes | None:
        """Return a file from `start` on where it is another than at the last look."""
        found = self._store.changed(self._run_id, name, self._etags[name], start)
        if found is None:
            return None
        self._etags[name] = found[1]
        return found[0]

    def _new_steps(self) -> tuple[list[dict[str, Any]], bool]:
        seen = self.cursor.metrics
        start = max(0, seen - _MARKED)
        body = self._changed(METRICS, start)
        if body is None:
            return [], False
        anew = seen > 0 and (len(body) < seen - start or _mark(body[: seen - start]) != self.cursor.mark)
        if anew:
            seen = start = 0
            self._etags[METRICS] = ""
            body = self._changed(METRICS) or b""
        end = max(seen, start + body.rfind(b"\n") + 1)  # the last line may be half written
        mark = _mark(body[max(0, end - start - _MARKED) : end - start]) if end else ""
        self.cursor = replace(self.cursor, metrics=end, mark=mark)
        return parse_steps(body[seen - start : end - start]), anew

    def _new_logs(self, *, ended: bool) -> tuple[list[LogText], bool]:
        """Return what is new of the logs, and whether that is all of it."""
        found, whole = [], True
        for rank, pieces in _logs(self._store, self._run_id, self._ranks).items():
            text = self._new_log(rank, pieces, ended=ended)
            found += [text] if text.text or text.anew else []
            seen = self.cursor.logs.get(rank, 0) + self._unfinished.get(rank, 0)
            whole = whole and seen >= extent(pieces)
        return found, whole

    def _new_log(self, rank: int, pieces: list[Piece], *, ended: bool) -> LogText:
        """Return what is new of one log."""
        offset, reach = self.cursor.logs.get(rank, 0), extent(pieces)
        # One listing may miss a piece that is being joined to another; two don't.
        shorter = reach < offset
        anew = shorter and rank in self._shorter
        self._shorter = self._shorter | {rank} if shorter and not anew else self._shorter - {rank}
        offset = 0 if anew else offset
        waits = 0 if ended or anew else self._unfinished.get(rank, 0)
        if reach <= offset + waits:
            return LogText(rank, "")
        data = read_from(self._store, self._run_id, pieces, offset, _MOST_BYTES)
        decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        text = decoder.decode(data, final=ended and offset + len(data) >= reach)
        self._unfinished[rank] = rest = len(decoder.getstate()[0])  # a piece may end inside a character
        self.cursor = replace(self.cursor, logs={**self.cursor.logs, rank: offset + len(data) - rest})
        return LogText(rank, text, anew)


def near_end(store: RunFiles, run_id: str, log_bytes: int, ranks: frozenset[int] | None = None) -> Cursor:
    """Return the place before all events and steps, and so many bytes before the end of the logs.

    A log that is longer begins with a whole line there.
    """
    logs = {}
    for rank, pieces in _logs(store, run_id, ranks).items():
        begin = extent(pieces) - log_bytes
        if begin > 0:
            logs[rank] = begin + read_from(store, run_id, pieces, begin, log_bytes).find(b"\n") + 1
    return Cursor(logs=logs)


def _logs(store: RunFiles, run_id: str, ranks: frozenset[int] | None) -> dict[int, list[Piece]]:
    """Return the pieces of the logs of these nodes, or of all."""
    prefix = f"{LOGS}node-{min(ranks)}.log" if ranks is not None and len(ranks) == 1 else LOGS
    found = log_pieces(store.sizes(run_id, prefix))
    return {rank: pieces for rank, pieces in found.items() if ranks is None or rank in ranks}


def _mark(end: bytes) -> str:
    return f"{zlib.crc32(end):08x}"
