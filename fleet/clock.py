"""The time as a run's files write it, and how long ago it was."""

from __future__ import annotations

import datetime


def utc_now() -> str:
    """Return the time in UTC to the millisecond, `2026-11-22T11:34:49.297Z`, as the nodes write it too."""
    now = datetime.datetime.now(datetime.UTC)
    return now.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def seconds_between(begun: str, ended: str) -> float:
    """Return the seconds between two times in ISO 8601."""
    span = datetime.datetime.fromisoformat(ended) - datetime.datetime.fromisoformat(begun)
    return span.total_seconds()


def seconds_since(time: str) -> float:
    """Return how many seconds ago a time in ISO 8601 was."""
    return (datetime.datetime.now(datetime.UTC) - datetime.datetime.fromisoformat(time)).total_seconds()
