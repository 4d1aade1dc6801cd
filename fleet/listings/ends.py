"""When a lease ends, as a tag and as a schedule say it."""

from __future__ import annotations

import datetime
import re

_AT = re.compile(r"at\((\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2})\)")


def day_over(text: str) -> datetime.datetime | None:
    """Return the end of the day that a tag says, midnight UTC after it; None where it says no day."""
    try:
        day = datetime.date.fromisoformat(text)
        return datetime.datetime.combine(day, datetime.time(), datetime.UTC) + datetime.timedelta(days=1)
    except (ValueError, OverflowError):
        return None


def fires_at(expression: str) -> datetime.datetime | None:
    """Return when a one-time schedule fires, which the stacks write in UTC; None for any other schedule."""
    found = _AT.fullmatch(expression)
    if found is None:
        return None
    return datetime.datetime.fromisoformat(found.group(1)).replace(tzinfo=datetime.UTC)
