"""The run directories as pages read them: what a run leaves that has finished for good is fetched once.

A run that has succeeded is never gone on with, and its files change no more. Of every other run each file is
read from the bucket whenever a page asks for it.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from fleet.run_store import RunStore

_MOST_BYTES, _FILE_BYTES = 32 * 1024**2, 64 * 1024
"""Of all files that are kept, and of one of them."""
_OBJECT_BYTES = 200
"""What one takes beside its content, roughly."""


@dataclass
class _Kept:
    """Files by their keys, the one that was asked for last at the end."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    files: OrderedDict[str, tuple[bytes, str]] = field(default_factory=OrderedDict)
    size: int = 0

    def get(self, key: str) -> tuple[bytes, str] | None:
        with self.lock:
            if key in self.files:
                self.files.move_to_end(key)
            return self.files.get(key)

    def put(self, key: str, found: tuple[bytes, str]) -> None:
        with self.lock:
            if len(found[0]) > _FILE_BYTES or key in self.files:
                return
            self.files[key] = found
            self.size += len(found[0]) + _OBJECT_BYTES
            while self.size > _MOST_BYTES:
                _, (body, _) = self.files.popitem(last=False)
                self.size -= len(body) + _OBJECT_BYTES


@dataclass(frozen=True)
class KeptRuns(RunStore):
    """An environment's artifact bucket, of which the small files of finished runs are kept."""

    finished: Callable[[str], bool] = field(kw_only=True, compare=False)
    """Whether a run is known to have finished for good."""
    _kept: _Kept = field(default_factory=_Kept, init=False, compare=False, repr=False)

    def _read(self, key: str, **conditions: str) -> tuple[bytes, str] | None:
        parts = key.split("/", 2)
        if conditions or len(parts) < 3 or not self.finished(parts[1]):
            return super()._read(key, **conditions)
        found = self._kept.get(key)
        if found is None and (found := super()._read(key)) is not None:
            self._kept.put(key, found)
        return found


def keeping(store: RunStore, finished: Callable[[str], bool]) -> KeptRuns:
    """Return the same store with the files kept of runs that `finished` knows to have succeeded."""
    return KeptRuns(store.cloud, store.region, store.bucket, store.team, store.clients, finished=finished)
