"""A run's events: one writer, whole-object writes, each on top of exactly what it wrote before."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from node.layout import FINAL_EVENTS, run_key, utc_now
from node.store import Bucket

EVENTS = "events.jsonl"


class NotTheWriterError(Exception):
    """Somebody else has written this run's events: it was dispatched twice, or ended from outside."""


def parse_events(body: bytes) -> list[dict[str, Any]]:
    """Return the events of an `events.jsonl`, oldest first."""
    return [json.loads(line) for line in body.decode().splitlines() if line.strip()]


def ended_attempts(events: Sequence[Mapping[str, Any]]) -> tuple[int, bool]:
    """Return how many attempts of a run have ended, and whether nothing has happened since."""
    names = [event["event"] for event in events]
    return sum(name in FINAL_EVENTS for name in names), bool(names) and names[-1] in FINAL_EVENTS


def is_over(bucket: Bucket, run_id: str) -> bool:
    """Return whether the run has ended, or has left no trace at all."""
    body = bucket.get(run_key(run_id, EVENTS))
    if body is None:
        return bucket.get(run_key(run_id, "run.json")) is None
    events = parse_events(body)
    return bool(events) and events[-1]["event"] in FINAL_EVENTS


class EventLog:
    """The writer of one run's `events.jsonl`."""

    def __init__(self, bucket: Bucket, run_id: str, attempt: int = 1) -> None:
        """Write on where the attempt before has ended; NotTheWriterError where it is not the last to end."""
        self._bucket = bucket
        self._key = run_key(run_id, EVENTS)
        self._body = b""
        self._etag: str | None = None
        if attempt > 1:
            found = bucket.read(self._key)
            if found is None or ended_attempts(parse_events(found.body)) != (attempt - 1, True):
                raise NotTheWriterError(self._key)
            self._body, self._etag = found.body, found.etag

    @classmethod
    def adopt(cls, bucket: Bucket, run_id: str) -> EventLog:
        """Return the writer of a run whose events were written by one before it, who writes no more."""
        log = cls(bucket, run_id)
        found = bucket.read(log._key)
        if found is not None:
            log._body, log._etag = found.body, found.etag
        return log

    @property
    def events(self) -> list[dict[str, Any]]:
        """The events so far, oldest first, as far as this writer knows."""
        return parse_events(self._body)

    def append(self, event: str, detail: dict[str, Any], time: str | None = None) -> None:
        """Append one event, at `time` or now; NotTheWriterError where the object is not as we left it."""
        line = json.dumps({"time": time or utc_now(), "event": event, "detail": detail}, ensure_ascii=False)
        body = self._body + line.encode() + b"\n"
        if self._etag is None:
            etag = self._bucket.put_new(self._key, body)
        else:
            etag = self._bucket.replace(self._key, body, self._etag)
        if etag is None:
            # A write that was done and whose answer got lost is refused when it is repeated.
            found = self._bucket.read(self._key)
            if found is None or found.body != body:
                raise NotTheWriterError(self._key)
            etag = found.etag
        self._body, self._etag = body, etag
