"""The ledger: every act's before and after, appended to the write-once bucket as a hash chain.

fleet/ledger_reading.py and fleet/ledger_whole.py read it.
"""

from __future__ import annotations

import copy
import datetime
import json
import random
import socket
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from fleet import aws, chain
from fleet.cloud import Cloud
from fleet.identity import os_user, person
from fleet.ledger_reading import PREFIX as PREFIX
from fleet.ledger_reading import LedgerError as LedgerError
from fleet.ledger_reading import LedgerRefusedError
from fleet.ledger_whole import WholeLedger
from fleet.outbox import Kept, OpenAct, Outbox
from fleet.refused import WRITES_LEDGER, is_refused
from stacks.problems import UserError

_TAKEN, _AT_ONCE = "PreconditionFailed", "ConditionalRequestConflict"
"""Somebody has the number, or writes it this moment: then it is to be tried again (S3's API, PutObject)."""
_CONFLICTS = 5
_APPEND_ATTEMPTS = 100
"""Bound on lost races for the next number; each loss means that another writer got an entry in."""
_SETTLED = frozenset({"server.enter"})
"""Acts that may outlive their process; whoever began them finds out how they ended (fleet/enter.py)."""
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.01, 2.0


@dataclass
class Act:
    """An act under way: what is put into `details` is part of its closing entry."""

    details: dict[str, Any] = field(default_factory=dict)
    ending: dict[str, Any] = field(default_factory=dict)
    """The entry that closes it where its process is killed."""


class Ledger(WholeLedger):
    """The chain in one bucket, written in the name of one actor."""

    def __init__(
        self, cloud: Cloud, bucket: str, region: str, actor: str, *, key: str = "",
        outbox: Outbox | None = None,
    ) -> None:  # fmt: skip
        """Prepare to write to `bucket`, which must exist before the first append.

        `key` is the alias of the key that signs checkpoints; `outbox` keeps what ended and could not be
        recorded.
        """
        super().__init__(cloud, bucket, region, key=key)
        self._outbox = outbox
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
        interrupted, recorded. `details` must be JSON and hold no secret. What an earlier act could not record
        goes first.
        """
        content = self._content(event, target, outcome, details)
        self._record_kept()
        return self._write(content)

    @contextmanager
    def act(self, event: str, target: str, **details: Any) -> Iterator[Act]:
        """Bracket an act with two entries: `started`, then how it ended.

        Raises LedgerError before the act where the first can't be written: an act that would not be on
        record does not start. Where the second can't be, it is kept for the next one who writes; an act that
        succeeded raises LedgerError then, and one that failed its own error. Where the process is killed,
        the next one who writes records that.
        """
        self.append(event, target, "started", details)
        act = Act(ending=self._content(event, target, "interrupted", details))
        noted = self._outbox.begin(act.ending) if self._outbox and event not in _SETTLED else None
        try:
            yield act
        except UserError as error:
            problems = [problem.what for problem in error.problems]
            self._close(act, noted, "refused", {"problems": problems}, error)
            raise
        except BaseException as error:
            outcome = "failed" if isinstance(error, Exception) else "interrupted"
            cause = str(error) or type(error).__name__
            self._close(act, noted, outcome, {"cause": cause[:2000]}, error)
            raise
        else:
            self._close(act, noted, "succeeded", {}, None)
        finally:
            if noted:
                noted.close()

    def _close(
        self, act: Act, noted: OpenAct | None, outcome: str, more: Mapping[str, Any],
        cause: BaseException | None,
    ) -> None:  # fmt: skip
        """Append an act's closing entry, or keep it; an act's own error, `cause`, is what is raised then."""
        event, target = act.ending["event"], act.ending["target"]
        content = self._content(event, target, outcome, {**act.details, **more}, act.ending["id"])
        tried = list[int]()

        def trying(number: int) -> None:
            tried.append(number)
            if noted:
                noted.trying(number)

        try:
            self._record_kept()
            self._write(content, trying)
        except BaseException as error:
            if self._outbox is None:
                raise
            try:
                file = self._outbox.keep(content, tried, str(error)[:2000])
            except OSError as full:
                raise LedgerError(f"{error}; nor can it be kept on this machine ({full})") from error
            told = f"{error}; that {event} of {target} {outcome} is kept in {file} and is recorded first"
            if cause is None and isinstance(error, LedgerError):
                raise LedgerError(f"{told} by the next command") from error
            if cause is None or not isinstance(error, LedgerError):
                raise
            cause.add_note(told)

    def _record_kept(self) -> None:
        """Write what earlier acts could not record; raises LedgerError where that can't be done either."""
        if self._outbox is None:
            return
        try:
            with self._outbox.waiting() as waiting:
                for kept in waiting:
                    if not self._is_written(kept):
                        self._write(self._late(kept), kept.trying)
                    kept.done()
        except (OSError, ValueError, KeyError) as error:
            what = f"what waits in {self._outbox.folder} to be recorded can't be read ({error!r})"
            raise LedgerError(what) from error

    def _is_written(self, kept: Kept) -> bool:
        """Return whether an earlier try went through, though its answer was lost."""
        wanted = kept.content["id"]
        found = self._reading(lambda: [self._newest(number) for number in kept.tried])
        return any(entry is not None and entry.get("id") == wanted for entry in found)

    def _late(self, kept: Kept) -> dict[str, Any]:
        """Return a kept entry as it is written now: its time is now, and `late` says when it happened."""
        late = {"happened": kept.content["time"], "why": kept.why}
        if kept.content["actor"].get("identity") != self.actor["identity"]:
            late["recorded_by"] = self.actor["identity"]
        return {**kept.content, "time": _now(), "details": {**kept.content["details"], "late": late}}

    def _write(
        self, content: Mapping[str, Any], trying: Callable[[int], None] = lambda number: None
    ) -> dict[str, Any]:
        """Write the entry under the next free number, which `trying` hears before; return it whole."""
        for attempt in range(_APPEND_ATTEMPTS):
            begun = time.monotonic()
            try:
                # What we wrote last is most often still the last; if it is not, the number is taken.
                number, previous = self._tail if self._tail[0] and not attempt else self._find_tail()
                entry = chain.sealed(content, number + 1, previous)
                trying(number + 1)
                if self._put(entry):
                    self._tail = (number + 1, entry["hash"])
                    return entry
            except Exception as error:
                if is_refused(error):
                    refused = f"write to the ledger s3://{self.bucket}, so nothing starts"
                    raise LedgerRefusedError.to(refused, WRITES_LEDGER) from error
                raise LedgerError(f"the ledger s3://{self.bucket} can't be written ({error})") from error
            # As long as a try takes, for as long others are at theirs; and twice as long after each loss.
            tried = max(_FIRST_PAUSE_S, time.monotonic() - begun)
            time.sleep(random.uniform(0, min(_LONGEST_PAUSE_S, tried * 2**attempt)))  # noqa: S311
        raise LedgerError(
            f"the ledger s3://{self.bucket} is too busy: {_APPEND_ATTEMPTS} appends lost their race"
        )

    def _content(
        self, event: str, target: str, outcome: str, details: Mapping[str, Any], entry_id: str = ""
    ) -> dict[str, Any]:
        """Return an entry without its place in the chain; by its id it is told from its like."""
        return {
            "id": entry_id or uuid.uuid4().hex,
            "time": _now(),
            "event": event,
            "actor": self.actor,
            "target": target,
            "outcome": outcome,
            "details": json.loads(json.dumps(details, default=str)),
        }

    def _put(self, entry: Mapping[str, Any]) -> bool:
        """Write the entry unless its number is taken; return whether it is there."""
        body = json.dumps(entry, indent=2, ensure_ascii=False).encode()
        key = PREFIX + chain.entry_name(entry["sequence"])
        for _ in range(_CONFLICTS):
            try:
                self.objects.s3.put_object(
                    Bucket=self.bucket, Key=key, Body=body, IfNoneMatch="*", ChecksumAlgorithm="SHA256",
                    ContentType="application/json",
                )  # fmt: skip
                return True
            except Exception as error:
                if aws.error_code(error) == _TAKEN:
                    break
                if aws.error_code(error) != _AT_ONCE:
                    raise
            time.sleep(_FIRST_PAUSE_S)
        # Taken by ourselves, where the answer to the client's first try was lost and it tried again.
        there = self._newest(entry["sequence"])
        if there is None or "hash" not in there:
            return False
        self._tail = (entry["sequence"], str(there["hash"]))  # from here on the next one is looked for
        return bool(there["hash"] == entry["hash"])


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
