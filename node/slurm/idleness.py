"""Runs under Slurm that make no progress: looked at at times, warned of, then stopped (docs/idle.md)."""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import Sequence
from concurrent.futures import Executor

from node import idle, idle_marks
from node.aws import client
from node.idle import IdlePolicy, Warned
from node.layout import IDLE, RUNNING
from node.slurm.book import Entry
from node.slurm.office import Office, troubles
from node.slurm.teller import OverError

_POLICY_SECONDS = 60.0
"""How old what is known of the policy may be."""


class Idleness:
    """Looks at each run that runs, by workers, so that no round waits for the bucket."""

    def __init__(self, office: Office) -> None:
        self._office = office
        self._policy: IdlePolicy | None = None
        self._read_at = float("-inf")
        self._looked: dict[str, float] = {}

    def go(self, entries: Sequence[Entry], pool: Executor) -> None:
        """Have the runs looked at that are due."""
        now, policy = time.monotonic(), self._policy
        if now - self._read_at >= _POLICY_SECONDS:
            self._read_at = now
            pool.submit(self._read)
        if policy is None or not policy.step:
            return
        running = [each for each in entries if _is_watched(each)]
        looked = self._looked
        self._looked = {each.run_id: looked.get(each.run_id, now) for each in running}
        for entry in running:
            if now - self._looked[entry.run_id] >= policy.look:
                self._looked[entry.run_id] = now
                pool.submit(self._look, entry, policy)

    def _read(self) -> None:
        try:
            self._policy = idle.read_policy(self._office.bucket)
        except troubles() as error:  # the policy that is known holds
            print(f"the policy on idle runs could not be read: {error}", file=sys.stderr, flush=True)

    def _look(self, entry: Entry, policy: IdlePolicy) -> None:
        book, started = self._office.book, entry.started
        try:
            if started is None:
                return
            cause = idle.look_for_cause(self._office.bucket, policy, entry.run_id, started, time.time())
            with book.locked(entry.run_id):
                # It may have ended meanwhile, or begun anew.
                if book.get(entry.run_id) is entry and _is_watched(entry) and entry.started == started:
                    self._act(entry, policy, cause)
        except OverError:
            return  # the rounds find that out, too
        except troubles() as error:
            print(f"{entry.run_id}: how far it is could not be seen: {error}", file=sys.stderr, flush=True)
        except Exception:  # one run's trouble must not keep the others from being looked at
            traceback.print_exc()

    def _act(self, entry: Entry, policy: IdlePolicy, cause: str) -> None:
        """Do what is due; what is done is in the book first, so that a clerk after this one goes on."""
        now, book = time.time(), self._office.book
        warned = Warned(entry.idle_cause, entry.idle_stops) if entry.idle_stops is not None else None
        word = idle.next_word(cause, warned, now)
        if word == idle.WARN:
            warned = idle.warning(policy, cause, now)
            entry.idle_cause, entry.idle_stops = cause, warned.stops
            book.save(entry, durable=True)
            self._office.teller.note(entry, IDLE, warned.detail())
            self._mark(entry, idle_marks.run_mark(idle_marks.WARNED, entry.run_id, warned.stops, cause))
        elif word == idle.GO_ON:
            entry.idle_cause, entry.idle_stops = "", None
            book.save(entry, durable=True)
            self._office.teller.note(entry, IDLE, idle.GOES_ON)
            self._mark(entry, "")
        elif word == idle.END:
            entry.idle_cause, entry.idle_asked = cause, now
            book.save(entry, durable=True)
            self._mark(entry, idle_marks.run_mark(idle_marks.STOPPED, entry.run_id, now, cause))

    def _mark(self, entry: Entry, value: str) -> None:
        ec2 = client("ec2", self._office.config.region)
        idle_marks.mark(ec2, [str(each["instance_id"]) for each in entry.placed], idle_marks.TAG_RUN, value)


def _is_watched(entry: Entry) -> bool:
    return (
        entry.said == RUNNING
        and entry.tasks is None
        and entry.started is not None
        and entry.idle_asked is None
        and not entry.cancelled_by
    )
