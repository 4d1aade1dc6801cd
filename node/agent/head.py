"""Follows a head that was replaced: its successor has another address, which slurmd does not learn."""

from __future__ import annotations

import contextlib
import random
import socket
from collections.abc import Callable
from pathlib import Path

LOOK_SECONDS = 15.0
_MOST_SECONDS = 120.0
_TIMEOUT = 3.0


class HeadWatch:
    """Knows the head that this node belongs to.

    As long as the head's port answers, nobody else is asked: EC2 limits how often a whole fleet may ask it.
    """

    def __init__(self, file: Path, port: int, find: Callable[[], str], follow: Callable[[], None]) -> None:
        """`file` keeps the address over starts of the agent; `find` asks EC2 and returns "" for no head.

        `follow` has slurmd look the head up anew.
        """
        self._file, self._port, self._find, self._follow = file, port, find, follow
        self._address = ""
        with contextlib.suppress(OSError):
            self._address = file.read_text().strip()
        self._pause = LOOK_SECONDS
        self._first = True

    def look(self) -> float:
        """Look once and return the seconds until the next look; raises what `find` and `follow` raise."""
        first, self._first = self._first, False
        if not first and self._answers(self._address):
            self._pause = LOOK_SECONDS
            return LOOK_SECONDS
        found = self._find()
        if found and found != self._address:
            if self._address:
                print(f"the head has moved from {self._address} to {found}")
                self._follow()
            self._address = found
            self._file.parent.mkdir(parents=True, exist_ok=True)
            self._file.write_text(found + "\n")
        if not (found and self._answers(found)):
            return self.later()
        self._pause = LOOK_SECONDS
        return self._spread()

    def later(self) -> float:
        """Return the seconds until the next look after one that found no head, or failed: ever more."""
        self._pause = min(_MOST_SECONDS, self._pause * 1.5)
        return self._spread()

    def _spread(self) -> float:
        # Not all nodes of a fleet at once.
        return self._pause * random.uniform(0.7, 1.3)  # noqa: S311

    def _answers(self, address: str) -> bool:
        try:
            socket.create_connection((address, self._port), timeout=_TIMEOUT).close()
        except OSError:
            return False
        return bool(address)
