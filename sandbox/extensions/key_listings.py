"""Listings of buckets with tens of thousands of objects, in time that goes by what is listed.

Seams: the store of a bucket's keys, `S3Backend.list_objects` and `.list_objects_v2`. moto walks over all keys
of a bucket for each listing, a quarter of a second at 40,000; drop this when it does not. A folder is listed
where something in it stands, as S3 does it: moto lists it also where only delete markers are left.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import Any

from moto.s3 import models
from moto.s3.models import FakeDeleteMarker, S3Backend

from sandbox.parts import Parts


class SortedKeys(models._VersionedKeyStore):  # type: ignore[misc]
    """A bucket's keys, whose names are known in order."""

    def __init__(self) -> None:
        super().__init__()
        self._lock, self._names = threading.Lock(), list[str]()

    def names(self, begin: str = "", end: str | None = None) -> list[str]:
        """Return the names from `begin` on and before `end`, in order."""
        with self._lock:
            last = len(self._names) if end is None else bisect_left(self._names, end)
            return self._names[bisect_left(self._names, begin) : last]

    def __setitem__(self, key: str, value: Any) -> None:
        self._note(key)
        super().__setitem__(key, value)

    def setlist(self, key: Any, list_: Any) -> None:
        """Replace all versions of a key."""
        self._note(key)
        super().setlist(key, list_)

    def pop(self, key: str) -> None:
        """Forget a key."""
        super().pop(key)
        with self._lock:
            del self._names[bisect_left(self._names, key)]

    def _note(self, key: str) -> None:
        with self._lock:
            at = bisect_left(self._names, key)
            if self._names[at : at + 1] != [key]:
                self._names.insert(at, key)


def after_all(prefix: str) -> str | None:
    """Return the first text that comes after all that begin with the prefix, None where nothing does."""
    return prefix[:-1] + chr(ord(prefix[-1]) + 1) if prefix and ord(prefix[-1]) < 0x10FFFF else None


def install(parts: Parts) -> None:
    """Replace the store and the listings."""
    models._VersionedKeyStore = SortedKeys
    S3Backend.list_objects = _list_objects
    S3Backend.list_objects_v2 = _list_objects_v2


def _list_objects(
    self: Any,
    bucket: Any,
    prefix: str | None,
    delimiter: str | None,
    marker: str | None,
    max_keys: int | None,
) -> Any:
    """Answer as moto's does: keys, folders, whether there are more, and where they go on."""
    found = list(_found(bucket.keys, prefix or "", delimiter, ""))
    folders = [each for each in found if isinstance(each, str)]
    keys: Any = [each for each in found if not isinstance(each, str)]
    if marker:
        keys = self._get_results_from_token(keys, self._pagination_tokens.get(marker) or marker)
    if max_keys is None:
        return keys, folders, False, None
    keys, truncated, following = self._truncate_result(keys, max_keys)
    return keys, folders, truncated, following


def _list_objects_v2(
    self: Any,
    bucket: Any,
    prefix: str | None,
    delimiter: str | None,
    continuation_token: str | None,
    start_after: str | None,
    max_keys: int,
) -> Any:
    """Answer as moto's does: keys and folders in one order, whether there are more, and where they go on."""
    after = self._pagination_tokens.get(continuation_token) if continuation_token else start_after
    some: list[Any] = []
    for each in _found(bucket.keys, prefix or "", delimiter, after or ""):
        some.append(each)
        if len(some) > max_keys:
            break
    return self._truncate_result(some, max_keys)


def _found(keys: SortedKeys, prefix: str, delimiter: str | None, after: str) -> Iterator[Any]:
    """Yield what a listing has after a name: keys that stand, and the names of folders in which some do."""
    names = keys.names(max(prefix, after), after_all(prefix))
    at = 0
    while at < len(names):
        name = names[at]
        at += 1
        cut = name.find(delimiter, len(prefix)) if delimiter else -1
        if cut < 0:
            if name > after and (version := _standing(keys, name)) is not None:
                yield version
            continue
        folder = name[: cut + len(delimiter or "")]
        end = _end_of(names, folder, at)
        if folder > after and any(_standing(keys, each) is not None for each in names[at - 1 : end]):
            yield folder
        at = end


def _end_of(names: Sequence[str], folder: str, begin: int) -> int:
    """Return the place of the first name that is not in the folder."""
    last = after_all(folder)
    return len(names) if last is None else bisect_left(names, last, begin)


def _standing(keys: SortedKeys, name: str) -> Any:
    """Return the newest version of a key, None where that is a delete marker, or the key is gone by now."""
    version = keys.get(name)
    return None if isinstance(version, FakeDeleteMarker) else version
