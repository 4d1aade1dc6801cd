"""A runner's sign of life while it stops its job and uploads: told apart from one that is stuck."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

from node.aws import aws_errors
from node.layout import alive_name, run_key, utc_now
from node.store import Bucket

STOPPING, UPLOADING = "stopping", "uploading"
BEAT_SECONDS = 15.0
SILENCE_SECONDS = 120.0
"""A runner that has not renewed its sign for so long does not work any more."""
_LOOK_EVERY = 5.0


class Heart:
    """Renews one node's `alive/node-<rank>.json` from its first word until the process ends."""

    def __init__(self, bucket: Bucket, run_id: str, rank: int) -> None:
        self._bucket, self._key = bucket, run_key(run_id, alive_name(rank))
        self._state = ""
        self._news = threading.Event()

    def say(self, state: str) -> None:
        """Tell what the runner does now, and go on telling; returns at once."""
        first, self._state = not self._state, state
        self._news.set()
        if first:
            threading.Thread(target=self._beat, daemon=True).start()

    def _beat(self) -> None:
        while True:
            self._news.clear()
            body = json.dumps({"time": utc_now(), "state": self._state}).encode()
            try:
                self._bucket.put(self._key, body)
            except aws_errors() as error:
                print(f"the sign of life could not be renewed: {error}", file=sys.stderr)
            self._news.wait(BEAT_SECONDS)


@dataclass
class _Heard:
    body: bytes | None
    changed: float
    looked: float


class Listener:
    """The signs of life of a run's nodes, as they change by the listener's own clock."""

    def __init__(self, bucket: Bucket, run_id: str) -> None:
        self._bucket, self._run_id = bucket, run_id
        self._heard: dict[int, _Heard] = {}

    def silence(self, rank: int, since: float) -> float:
        """Return for how many seconds that node's sign has not changed, counted from `since` at the earliest.

        `since` is a time.monotonic(), before which nothing could be expected.
        """
        return time.monotonic() - max(since, self._hear(rank).changed)

    def uploading(self, ranks: Sequence[int]) -> bool:
        """Return whether the jobs of all these nodes have ended and their runners bring outputs home."""
        return all(self._uploads(rank) for rank in ranks)

    def _uploads(self, rank: int) -> bool:
        heard = self._hear(rank)
        living = time.monotonic() - heard.changed <= SILENCE_SECONDS
        return heard.body is not None and living and json.loads(heard.body)["state"] == UPLOADING

    def _hear(self, rank: int) -> _Heard:
        """Look at the sign, every few seconds at most."""
        now, heard = time.monotonic(), self._heard.get(rank)
        if heard is not None and now - heard.looked < _LOOK_EVERY:
            return heard
        body = self._bucket.get(run_key(self._run_id, alive_name(rank)))
        if heard is None:
            changed = now if body is not None else float("-inf")
        else:
            changed = heard.changed if body == heard.body else now
        self._heard[rank] = _Heard(body, changed, now)
        return self._heard[rank]
