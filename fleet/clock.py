"""The time as a run's files write it."""

from __future__ import annotations

import datetime


def utc_now() -> str:
    """Return the time in UTC to the millisecond, `2026-11-22T11:34:49.297Z`, as the nodes write it too."""
    now = datetime.datetime.now(datetime.UTC)
    return now.isoformat(timespec="milliseconds").replace("+00:00", "Z")
