"""The ledger: every act's before and after, appended to the write-once bucket as a hash chain.

fleet/ledger_reading.py reads it.
"""

from __future__ import annotations

import copy
import datetime
import json
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from fleet import aws, chain
from fleet.cloud import Cloud
from fleet.identity import os_user, person
from fleet.ledger_reading import PREFIX as PREFIX
from fleet.ledger_reading import LedgerError as LedgerError
from fleet.ledger_reading import LedgerReader
from stacks.problems import UserError

_TAKEN = {"PreconditionFailed", "ConditionalRequestConflict"}
_APPEND_ATTEMPTS = 100
"""Bound on lost races for the next number; each loss means that another writer got an entry in."""


@dataclass
class Act:
    """An act under way: what is put into `details` is part of its closing entry."""

    details: dict[str, Any] = field(default_factory=dict)


class Ledger(LedgerReader):
    """The chain in one bucket, written in the name of one actor."""

    def __init__(self, cloud: Cloud, bucket: str, region: str, actor: str) -> None:
        """Prepare to write to `bucket`, which must exist before the first append."""
        super().__init__(cloud, bucket, region)
        self.actor: dict[str, Any] = {
            "identity": actor,
            "os_user": os_user(),
            "host": socket.gethostname(),
        }
        if who := person(actor):
            self.actor["person"] = who

    def asked_by(self, who: Mapping[str, str]) -> Ledger:
        """Return the same ledger, whose entries say who asked for the act: somebody signed in to the console.

        That is the console's word; a person that the cloud itself vouches for is `person`.
        """
        ledger = copy.copy(self)
        ledger.actor = {**self.actor, "asked_by": dict(who)}
        return ledger

    # ------------------------------------------------------------------------------------------- writing

    def append(self, event: str, target: str, outcome: str, details: Mapping[str, Any]) -> dict[str, Any]:
        """Write the next entry and return it; raises LedgerError where the bucket refuses it.

        `event` is `noun.verb` (`environment.up`), `outcome` one of started, succeeded, failed, refused,
        interrupted, recorded. `details` must be JSON and hold no secret.
        """
        for _ in range(_APPEND_ATTEMPTS):
            try:
                sequence, previous = self.tail()
                entry = self._entry(sequence + 1, previous, event, target, outcome, details)
                if self._put(entry):
                    self._tail = (sequence + 1, entry["hash"])
                    return entry
            except Exception as error:
                raise LedgerError(f"the ledger s3://{self.bucket} can't be written ({error})") from error
        raise LedgerError(
            f"the ledger s3://{self.bucket} is too busy: {_APPEND_ATTEMPTS} appends lost their race"
        )

    @contextmanager
    def act(self, event: str, target: str, **details: Any) -> Iterator[Act]:
        """Bracket an act with two entries: `started`, then how it ended.

        Raises LedgerError before the act where the first can't be written: an act that would not be on
        record does not start.
        """
        self.append(event, target, "started", details)
        act = Act()
        try:
            yield act
        except UserError as error:
            problems = [problem.what for problem in error.problems]
            self.append(event, target, "refused", {**act.details, "problems": problems})
            raise
        except BaseException as error:
            outcome = "failed" if isinstance(error, Exception) else "interrupted"
            cause = str(error) or type(error).__name__
            self.append(event, target, outcome, {**act.details, "cause": cause[:2000]})
            raise
        self.append(event, target, "succeeded", act.details)

    def _entry(
        self, sequence: int, previous: str, event: str, target: str, outcome: str, details: Mapping[str, Any]
    ) -> dict[str, Any]:
        entry: dict[str, Any] = {
            "sequence": sequence,
            "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds"),
            "event": event,
            "actor": self.actor,
            "target": target,
            "outcome": outcome,
            "details": json.loads(json.dumps(details, default=str)),
            "prev_hash": previous,
        }
        return {**entry, "hash": chain.entry_hash(entry)}

    def _put(self, entry: Mapping[str, Any]) -> bool:
        """Write the entry unless its number is taken; return whether it was written."""
        body = json.dumps(entry, indent=2, ensure_ascii=False).encode()
        key = PREFIX + chain.entry_name(entry["sequence"])
        try:
            self.objects.s3.put_object(
                Bucket=self.bucket, Key=key, Body=body, IfNoneMatch="*", ChecksumAlgorithm="SHA256",
                ContentType="application/json",
            )  # fmt: skip
        except Exception as error:
            if aws.error_code(error) in _TAKEN:
                return False
            raise
        return True
