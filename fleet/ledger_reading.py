"""Reading the ledger: by number, by time, in parts; fleet/ledger_whole.py verifies and copies all of it."""

from __future__ import annotations

import datetime
import json
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from fleet import aws, chain
from fleet.cloud import Cloud
from fleet.errors import ActError
from fleet.locked_bucket import LockedBucket
from fleet.refused import READS_LEDGER, RefusedError, is_refused
from stacks import naming
from stacks.problems import UserError

PREFIX = naming.LEDGER_PREFIX
_AT_ONCE = 8
"""Entries that are fetched at the same time."""
_PAGE = 500
_FEW = 100
"""New entries that are listed at once to find the last one."""
_NO_BUCKET = "NoSuchBucket"
_BEFORE_ALL = "1970-01-01T00:00:00+00:00"

Entry = dict[str, Any]
Read = TypeVar("Read")


class LedgerError(ActError):
    """The ledger can't be written or read; whatever it was to record does not start."""


class LedgerRefusedError(LedgerError, RefusedError):
    """The caller's role may not read the ledger, or not write to it."""


class LedgerReader:
    """The chain in one bucket."""

    def __init__(self, cloud: Cloud, bucket: str, region: str) -> None:
        """Prepare to read from `bucket`; contacts nothing yet."""
        self.bucket = bucket
        self.objects = LockedBucket(aws.client(cloud, "s3", region), bucket)
        """The locked bucket, with the trail and the transcripts beside the ledger."""
        self._tail: tuple[int, str] = (0, chain.GENESIS)

    # --------------------------------------------------------------------------------------- by number

    def tail(self) -> tuple[int, str]:
        """Return the last entry's number and hash, searching upwards from the last one that we know."""
        return self._reading(self._find_tail)

    def _find_tail(self) -> tuple[int, str]:
        page = self.objects.s3.list_objects_v2(
            Bucket=self.bucket, Prefix=PREFIX, StartAfter=_key(self._tail[0]), MaxKeys=_FEW
        )
        names = [item["Key"].removeprefix(PREFIX) for item in page.get("Contents", [])]
        last = max((int(name[:12]) for name in names if chain.is_entry_name(name)), default=self._tail[0])
        if page["IsTruncated"]:  # not a few new ones: listing them all would take longer than halving
            last = chain.find_tail(self._exists_after, last)
        if last != self._tail[0]:
            self._tail = (last, json.loads(self.objects.get(_key(last)))["hash"])
        return self._tail

    def get(self, sequence: int) -> Entry:
        """Return one entry as it was first written; raises UserError where there is none of that number."""
        found = self._reading(lambda: self._first_written(sequence))
        if found is None:
            raise UserError.of(
                f"the ledger has no entry number {sequence}",
                "see `fleetform audit log` for those that it has",
            )
        return found

    def entries_from(self, sequence: int, limit: int) -> list[Entry]:
        """Return up to `limit` entries from that number on, in order; fewer at the end of the chain.

        They are fetched by their numbers, so that nothing is listed but the end of the chain. What the entry
        after it does not vouch for, by its link, is read again as it was first written: so is the last one,
        which has none after it. A number that is missing is left out.
        """
        return self._reading(lambda: self._entries_from(max(sequence, 1), limit))

    def entries_of(self, digests: Mapping[int, str]) -> dict[int, Entry]:
        """Return the entries of these numbers, each as its hash vouches for it, else as it was first written.

        `digests` has the hash that each had when the chain was checked. A number that is missing is left out.
        """
        return self._reading(lambda: self._entries_of(digests))

    def entries_since(self, moment: datetime.datetime) -> Iterator[Entry]:
        """Yield the entries from the first one on that was written at that time or later.

        It is found by halving, so that few of those before are fetched; writers' clocks may differ a little.
        """
        last = self._reading(self.tail)[0]
        for start in range(self.first_since(moment), last + 1, _PAGE):
            yield from self.entries_from(start, _PAGE)

    def first_since(self, moment: datetime.datetime) -> int:
        """Return the number of the first entry of that time or later; the next one's, where there is none."""
        numbers = range(1, self._reading(self.tail)[0] + 1)
        return bisect_left(numbers, moment, key=self._time_of) + 1

    def _time_of(self, sequence: int) -> datetime.datetime:
        entry = self._reading(lambda: self._newest(sequence))
        return datetime.datetime.fromisoformat(entry["time"] if entry else _BEFORE_ALL)

    def _entries_from(self, first: int, limit: int) -> list[Entry]:
        numbers = range(first, min(self.tail()[0], first + limit - 1) + 1)
        found = self._newest_of(numbers)
        for number in reversed(numbers):  # backwards: whoever vouches has been read as it was by then
            if not _vouched(found[number], found.get(number + 1)):
                found[number] = self._first_written(number)
        return [entry for entry in found.values() if entry is not None]

    def _entries_of(self, digests: Mapping[int, str]) -> dict[int, Entry]:
        found = self._newest_of(list(digests))
        for number, digest in digests.items():
            entry = found[number]
            if entry is None or chain.entry_hash(entry) != digest:
                found[number] = self._first_written(number)
        return {number: entry for number, entry in found.items() if entry is not None}

    def _newest_of(self, numbers: Sequence[int]) -> dict[int, Entry | None]:
        with ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
            return dict(zip(numbers, pool.map(self._newest, numbers), strict=True))

    def _newest(self, sequence: int) -> Entry | None:
        """Return the entry as it is on top: whoever uses it has something to hold it against."""
        return _parse(self.objects.find(_key(sequence)))

    def _first_written(self, sequence: int) -> Entry | None:
        return _parse(self.objects.first_written(_key(sequence)))

    def _exists_after(self, sequence: int) -> bool:
        pages = self.objects.s3.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket, Prefix=PREFIX, StartAfter=_key(sequence), PaginationConfig={"PageSize": 10}
        )
        names = (item["Key"].removeprefix(PREFIX) for page in pages for item in page.get("Contents", []))
        return any(map(chain.is_entry_name, names))  # the first, but for strays

    # ----------------------------------------------------------------------------------------- in parts

    def read(self, first: int = 1, last: int | None = None) -> dict[str, bytes]:
        """Return every entry's file name and bytes as they were first written, in order; or those from-to.

        Of an entry that was written over, the oldest version is the entry; `verify` tells of the rest.
        """
        part = {"after": _key(first - 1), "before": _key(last + 1)} if last is not None else {}
        return self._reading(lambda: self._fetch(self.objects.oldest(PREFIX, **part), PREFIX))

    def entries(self) -> list[Entry]:
        """Return every entry that is JSON, in order."""
        return [json.loads(data) for data in self.read().values()]

    def _fetch(self, versions: Mapping[str, str], prefix: str) -> dict[str, bytes]:
        """Return the contents of these versions by their keys' names below the prefix."""
        with ThreadPoolExecutor(max_workers=_AT_ONCE) as pool:
            bodies = pool.map(self.objects.get, versions, versions.values())
            return {key.removeprefix(prefix): body for key, body in zip(versions, bodies, strict=True)}

    def _reading(self, read: Callable[[], Read]) -> Read:
        """Return what `read` returns; raises LedgerError where the bucket refuses it."""
        try:
            return read()
        except Exception as error:
            if not aws.is_cloud_error(error):
                raise
            if aws.error_code(error) == _NO_BUCKET:
                what = f"there is no ledger s3://{self.bucket}: the account's first `fleetform up` makes it"
                raise LedgerError(what) from error
            if is_refused(error):
                whole = f"read the ledger s3://{self.bucket} as it was first written"
                raise LedgerRefusedError.to(whole, READS_LEDGER) from error
            raise LedgerError(f"the ledger s3://{self.bucket} can't be read ({error})") from error


def _key(sequence: int) -> str:
    return PREFIX + chain.entry_name(sequence)


def _parse(data: bytes | None) -> Entry | None:
    """Return the entry, None for what is none: `verify` says what is wrong with it."""
    try:
        entry = json.loads(data or b"")
    except ValueError:
        return None
    return entry if isinstance(entry, dict) and isinstance(entry.get("sequence"), int) else None


def _vouched(entry: Entry | None, following: Entry | None) -> bool:
    """Return whether the next entry is linked to this one as it is here."""
    if entry is None or following is None:
        return False
    return bool(following.get("prev_hash") == chain.entry_hash(entry))
