"""The ledger's witness: verifies the chain as it grows, and signs how far it was sound.

Nobody else may sign with the key, so who can write to the ledger cannot bear out a past of their own making.
Each call goes on from the last checkpoint: it reads that one and its entry, then every entry after it, and
signs each 1000th and, once an hour, the last. What does not follow is signed no further, and is told as a
failure at every call.
"""

from __future__ import annotations

import datetime
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import Any

from fleet import chain, checkpoints
from fleet.checkpoint_check import check
from fleet.checkpoints import Checkpoint
from reaper.aws import Aws, error_code
from reaper.record import PREFIX, Record

SECONDS = 60.0
"""How long one call may take with it; what is left is for the next."""
END_EVERY = datetime.timedelta(minutes=55)
"""How often the chain's end is signed at most; every 1000th entry always is."""
_AT_ONCE = 8
_BATCH = 200


class BrokenError(Exception):
    """The ledger is not what was signed, or does not follow on it."""


class Witness:
    """One call's look at the ledger."""

    def __init__(self, aws: Aws, record: Record, key: str, now: datetime.datetime) -> None:
        """Take what the reaper writes by, the signing key's id or alias, and the cloud's time."""
        self._kms = aws.client("kms")
        self._record, self._key, self._now = record, key, now
        self._until = time.monotonic() + SECONDS
        self._last, self._signed_at = "", ""
        """The last checkpoint as `SEQUENCE:SHA256`, and its time; "" where there is none."""

    def sign(self) -> list[str]:
        """Verify and sign what is new; return what failed."""
        try:
            self._sign()
        except BrokenError as error:
            return [f"the ledger is not sound: {error}"]
        except Exception as error:
            return [f"the ledger's checkpoint could not be written: {error}"]
        return []

    def _sign(self) -> None:
        passing = chain.Pass(self._signed_head())
        begun = int(passing.head.partition(":")[0])
        last = self._record.last_number(PREFIX)
        if last // checkpoints.EVERY == begun // checkpoints.EVERY and not self._is_due():
            return
        for batch in _batches(begun + 1, last):
            for number, data in zip(batch, self._read(batch), strict=True):
                passing.take(chain.entry_name(number), data)
                if passing.findings:
                    raise BrokenError(str(passing.findings[0]))
                if checkpoints.is_multiple(number):
                    self._put(passing.head)
            if time.monotonic() > self._until:
                break
        reached = int(passing.head.partition(":")[0])
        if reached > int(self._last.partition(":")[0] or 0) and self._is_due():
            self._put(passing.head)

    def _is_due(self) -> bool:
        """Return whether the chain's end is to be signed: it is not, at every look, where little happens."""
        if not self._signed_at:
            return True
        return self._now - datetime.datetime.fromisoformat(self._signed_at) >= END_EVERY

    def _signed_head(self) -> str:
        """Return the head that the last checkpoint signs; its entry must still be that one."""
        number = self._record.last_number(checkpoints.FOLDER)
        if not number:
            return chain.START
        name = chain.entry_name(number)
        data = self._record.read(checkpoints.FOLDER + name)
        checked = check({name: data}, self._public, after=number)
        before = chain.Pass(chain.format_head(number - 1, "unknown"), checked.marks)
        before.take(name, self._entry(number))
        if wrong := [*checked.findings, *before.findings]:
            raise BrokenError(str(wrong[0]))
        self._last, self._signed_at = checked.last, checked.signed_at
        return before.head

    def _read(self, numbers: Sequence[int]) -> list[bytes]:
        with ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
            return list(pool.map(self._entry, numbers))

    def _entry(self, number: int) -> bytes:
        try:
            return self._record.read(PREFIX + chain.entry_name(number))
        except Exception as error:
            if error_code(error) != "NoSuchKey":
                raise
            raise BrokenError(f"there is no entry {number}, which is signed or not the last") from error

    @cached_property
    def _public(self) -> bytes:
        return bytes(self._kms.get_public_key(KeyId=self._key)["PublicKey"])

    def _put(self, head: str) -> None:
        key_sha256 = checkpoints.fingerprint(self._public)
        time_of = self._now.isoformat(timespec="seconds")
        said = Checkpoint(head=head, time=time_of, previous=self._last, key_sha256=key_sha256)
        answer: dict[str, Any] = self._kms.sign(
            KeyId=self._key,
            Message=said.signed_bytes(),
            MessageType="RAW",
            SigningAlgorithm=checkpoints.ALGORITHM,
        )
        file = said.to_file(bytes(answer["Signature"]))
        key = checkpoints.FOLDER + chain.entry_name(said.sequence)
        if not self._record.put(key, file):  # another call was faster, and goes on from its own
            file = self._record.read(key)
        self._last = f"{said.sequence}:{checkpoints.fingerprint(file)}"


def _batches(first: int, last: int) -> Iterator[range]:
    for start in range(first, last + 1, _BATCH):
        yield range(start, min(start + _BATCH, last + 1))
