"""Streams a node's log to the bucket while it grows: within a second or so, however long it is.

S3 cannot append. A short log is sent whole each time; a longer one's end goes up in parts,
`logs/node-<rank>.log.part-<offset>`, which are joined to blocks as they become many. At the job's end the
whole log is sent as one object and the parts are removed. Where the node dies before that, they stay, and
whoever reads the log puts them together.
"""

from __future__ import annotations

import re
import sys
import threading
import time
from pathlib import Path

from node.aws import failures
from node.layout import log_name, run_key
from node.store import Bucket

SEND_SECONDS = 1.0
"""Seconds between two sendings of a log that grows all the time."""
WHOLE_BYTES = 256 * 1024
"""Up to this size a log is one object."""
BLOCK_BYTES = 8 * 1024 * 1024
"""A block that has reached this is full; it is less than twice as large."""
MOST_PARTS = 60
"""So many parts are joined at the latest: readers list them again and again."""
_TICK, _RETRY_SECONDS = 0.2, 2.0
_PART = re.compile(r".*\.part-(\d+)")


class LogStream:
    """The log of one node's part of a run, and what the bucket has of it."""

    def __init__(self, bucket: Bucket, run_id: str, rank: int, path: Path) -> None:
        """Go on behind what the bucket holds; the file must begin with that."""
        self._bucket, self._path = bucket, path
        self._key = run_key(run_id, log_name(rank))
        sizes = bucket.sizes(self._key)
        self._told = _extent(self._key, sizes)
        """Bytes of the log that the bucket has."""
        here = path.stat().st_size if path.is_file() else 0
        if here < self._told:  # it is not the one that was sent: begin again
            self.remove_parts()
            self._told, sizes = 0, {}
        self._whole = set(sizes) <= {self._key}
        """Whether the log is still one object."""
        self._block, self._parts = self._told, 0
        """Where the block begins that parts are joined to next, and how many of them there are."""
        self._due = 0.0

    def step(self) -> None:
        """Send what is new and due; a bucket that refuses is tried again a little later."""
        now = time.monotonic()
        if now < self._due:
            return
        try:
            if self._send():
                self._due = now + SEND_SECONDS
        except failures() as error:
            print(f"sending the log failed, trying again: {error}", file=sys.stderr)
            self._due = now + _RETRY_SECONDS

    def keep_up(self, over: threading.Event) -> threading.Thread:
        """Step again and again in a thread of its own, which ends soon after `over` is set; return it."""

        def steps() -> None:
            while not over.wait(_TICK):
                self.step()

        thread = threading.Thread(target=steps, daemon=True)
        thread.start()
        return thread

    def remove_parts(self) -> None:
        """Remove the parts, once the whole log lies in the bucket."""
        for key in self._bucket.sizes(f"{self._key}.part-"):
            self._bucket.delete(key)

    def _send(self) -> bool:
        size = self._path.stat().st_size if self._path.exists() else 0
        if size <= self._told:
            return False
        if self._whole and size <= WHOLE_BYTES:
            body = self._read(0, size)
            self._bucket.put(self._key, body)
            self._told = self._block = len(body)
            return True
        self._whole = False
        body = self._read(self._told, min(size - self._told, BLOCK_BYTES))
        self._bucket.put(self._part(self._told), body)
        self._told, self._parts = self._told + len(body), self._parts + 1
        if self._parts >= MOST_PARTS or self._told - self._block >= BLOCK_BYTES:
            self._join()
        return True

    def _join(self) -> None:
        """Make one object of the parts since the last full block."""
        first = self._part(self._block)
        self._bucket.put(first, self._read(self._block, self._told - self._block))
        for key in self._bucket.sizes(f"{self._key}.part-"):
            if self._block < part_offset(key) < self._told:
                self._bucket.delete(key)
        self._parts = 1
        if self._told - self._block >= BLOCK_BYTES:
            self._block, self._parts = self._told, 0

    def _read(self, offset: int, count: int) -> bytes:
        with self._path.open("rb") as file:
            file.seek(offset)
            return file.read(count)

    def _part(self, offset: int) -> str:
        return f"{self._key}.part-{offset:015d}"


def part_offset(key: str) -> int:
    """Return where in the log a part begins; 0 for the log itself."""
    found = _PART.fullmatch(key)
    return int(found[1]) if found else 0


def _extent(key: str, sizes: dict[str, int]) -> int:
    """Return how many bytes of the log the objects hold without a gap."""
    end = sizes.get(key, 0)
    for name in sorted(sizes, key=part_offset):
        if name != key and part_offset(name) <= end:
            end = max(end, part_offset(name) + sizes[name])
    return end


def bring_log(bucket: Bucket, run_id: str, rank: int, path: Path) -> None:
    """Write the log as an earlier execution has left it in the bucket; one that is longer here is kept."""
    key = run_key(run_id, log_name(rank))
    sizes = bucket.sizes(key)
    extent = _extent(key, sizes)
    if not extent or (path.is_file() and path.stat().st_size >= extent):
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        for name in sorted(sizes, key=lambda name: (part_offset(name), name != key)):
            body = bucket.get(name) if part_offset(name) <= file.tell() else None
            if body is not None:
                file.write(body[file.tell() - part_offset(name) :])
