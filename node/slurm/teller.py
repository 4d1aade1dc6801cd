"""Tells of runs: their events, by one writer that goes on where another was cut off, and their ends."""

from __future__ import annotations

import json
import re
import threading
import traceback
from collections.abc import Mapping
from typing import Any

from node.aws import aws_errors
from node.events import EventLog, NotTheWriterError, ended_attempts
from node.layout import (
    QUEUED,
    REQUEUED,
    epoch_seconds,
    run_key,
    utc_now,
)
from node.patience import persist
from node.receipt import write_receipt
from node.slurm.book import Book, Entry
from node.slurm.receipts import short_receipt, slurm_receipt
from node.store import Bucket
from node.watch import Verdict

_DIGEST = re.compile(r"[0-9a-f]{64}")


class OverError(Exception):
    """The run has ended, as its events say; somebody else has written that."""


class Teller:
    """The writer of the events of all runs in the book."""

    def __init__(self, bucket: Bucket, book: Book) -> None:
        self._bucket, self._book = bucket, book
        self._logs: dict[str, EventLog] = {}
        self._lock = threading.Lock()

    def adopt(self, run_id: str) -> EventLog:
        """Return the run's events as they stand, to be written on."""
        log = persist(lambda: EventLog.adopt(self._bucket, run_id))
        with self._lock:
            self._logs[run_id] = log
        return log

    def say(self, entry: Entry, event: str, detail: Mapping[str, Any], moment: str = "") -> None:
        """Append an event and note it in the book. Raises OverError where the run has ended meanwhile."""
        self._append(entry, event, dict(detail), moment or utc_now())
        entry.said = event
        entry.reason = str(detail.get("reason") or detail.get("cause") or "")
        self._book.save(entry)

    def note(self, entry: Entry, event: str, detail: Mapping[str, Any]) -> None:
        """Append an event that is no state. Raises OverError where the run has ended meanwhile."""
        self._append(entry, event, dict(detail), utc_now())

    def _append(self, entry: Entry, event: str, detail: dict[str, Any], moment: str) -> None:
        log = self._logs.get(entry.run_id) or self.check_open(entry)
        # Slurm's times are whole seconds: no event may lie before the one that it follows.
        moment = max([moment, *(str(each["time"]) for each in log.events[-1:])])
        try:
            _write(log, event, detail, moment)
        except NotTheWriterError:
            # The clerk of a head before this one, or a client that took the run for lost.
            _write(self.check_open(entry), event, detail, moment)

    def check_open(self, entry: Entry) -> EventLog:
        """Return the run's events as they stand, to be written on. Raises OverError where it has ended."""
        log = self.adopt(entry.run_id)
        if is_ended(log, entry.attempt):
            with self._lock:
                self._logs.pop(entry.run_id, None)
            raise OverError(entry.run_id)
        return log

    def wait(self, entry: Entry, reason: str) -> None:
        """Say that it waits, and why, unless that was said last."""
        if entry.said != QUEUED or entry.reason != reason:
            self.say(entry, QUEUED, {"reason": reason} if reason else {})

    def requeue(self, entry: Entry, reason: str, ended: float | None) -> None:
        """Say that it has lost its nodes and waits for others; what it used counts."""
        close_execution(entry, ended)
        entry.requeues += 1
        entry.queued_since = utc_now()
        entry.placed, entry.stop_written, entry.requeue_asked = [], False, None
        entry.idle_cause, entry.idle_stops, entry.idle_asked = "", None, None
        self.say(entry, REQUEUED, {"reason": reason, "requeues": entry.requeues}, entry.queued_since)

    def finish(self, entry: Entry, verdict: Verdict, ended: float | None = None) -> None:
        """Write the receipt and the final event, and strike it out of the book."""
        close_execution(entry, ended)
        entry.times["ended"] = utc_now()
        try:
            self._write_receipt(entry, verdict)
            detail = {"cause": verdict.cause} if verdict.cause else {}
            self.say(entry, verdict.event, detail, entry.times["ended"])
        except OverError:
            print(f"{entry.run_id} was ended by somebody else", flush=True)
        self.forget(entry, verdict.event)

    def forget(self, entry: Entry, event: str) -> None:
        """Strike a run out that is over; its array hears of it."""
        parent = self._book.get(entry.parent) if entry.parent else None
        if parent is not None:
            with self._book.locked(parent.run_id):
                parent.task_ends[str(entry.index)] = event
                if began := [each.times["started"] for each in (entry, parent) if "started" in each.times]:
                    parent.times["started"] = min(began)
                self._book.save(parent)
        self._book.remove(entry)
        with self._lock:
            self._logs.pop(entry.run_id, None)

    def _write_receipt(self, entry: Entry, verdict: Verdict) -> None:
        """Write the receipt; a short one where what the job itself has written can't be read."""
        try:
            persist(lambda: self._write_whole_receipt(entry, verdict))
        except aws_errors():
            raise
        except Exception as error:  # a run must end, whatever its job has left in its directory
            traceback.print_exc()
            key, receipt = run_key(entry.run_id, "receipt.json"), short_receipt(entry, verdict, repr(error))
            persist(lambda: self._bucket.put(key, json.dumps(receipt, indent=2).encode()))

    def _write_whole_receipt(self, entry: Entry, verdict: Verdict) -> None:
        body = self._bucket.get(run_key(entry.run_id, "run.json"))
        if body is None:
            return
        # Its team may have changed the file since it was checked: nothing is read or written of another run.
        run: dict[str, Any] = {**json.loads(body), "run_id": entry.run_id}
        receipt = slurm_receipt(self._bucket, run, entry, verdict)
        measures = _may_be_measured_by(entry, run)
        write_receipt(self._bucket, run, receipt, verdict, entry.times["ended"], measures=measures)


def _may_be_measured_by(entry: Entry, run: Mapping[str, Any]) -> bool:
    """Return whether other runs may go by what this one has measured: further teams only read such points.

    A further team's ids begin with its name, and the digest is what a client has written.
    """
    return entry.run_id[:1].isdigit() and _DIGEST.fullmatch(str(run.get("job_digest"))) is not None


def _write(log: EventLog, event: str, detail: dict[str, Any], moment: str) -> None:
    persist(lambda: log.append(event, detail, moment))


def is_ended(log: EventLog, attempt: int) -> bool:
    """Return whether that attempt of the run is over."""
    return ended_attempts(log.events)[0] >= attempt


def close_execution(entry: Entry, ended: float | None, nodes: int | None = None) -> None:
    """Count what the execution that is over has used of its nodes; `nodes`: so many of them had come."""
    if entry.allocated is not None:
        until = epoch_seconds(utc_now()) if ended is None else ended
        entry.node_seconds += max(0.0, until - entry.allocated) * (entry.nodes if nodes is None else nodes)
    entry.allocated = entry.started = None
