"""The embedded cloud's clock, which can be put forward: what takes days in the cloud is tried in seconds."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta


class Clock:
    """The time as the cloud tells it: this machine's, and what it was put forward by."""

    def __init__(self) -> None:
        self._ahead = timedelta()
        self._lock = threading.Lock()

    def now(self) -> datetime:
        """Return the cloud's time in UTC."""
        return datetime.now(UTC) + self._ahead

    def forward(self, seconds: float) -> None:
        """Put the clock forward. Raises ValueError for a step back: what has happened stays so."""
        if seconds < 0:
            raise ValueError("the clock goes forward only")
        with self._lock:
            self._ahead += timedelta(seconds=seconds)

    def describe(self) -> dict[str, object]:
        """Return the time and the seconds that it is ahead, for `/_sandbox/clock`."""
        return {"now": self.now().isoformat(), "ahead_s": self._ahead.total_seconds()}
