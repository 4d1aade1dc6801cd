"""What a job says in a form of its own: the range of an array, and a time to begin."""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping
from typing import Any

MOST_TASKS, LAST_INDEX = 1000, 10_000
"""How many tasks an array may have, and the largest index of one: the queue takes no more."""
_LONGEST_WAIT = datetime.timedelta(days=365)
_ARRAY = re.compile(r"(\d{1,9})-(\d{1,9})(?:%(\d{1,9}))?")
_SPAN = re.compile(r"\+(\d{1,5})([mhd])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


def parse_array(text: str) -> dict[str, int]:
    """Return `first`, `last` and `at_once` of `FIRST-LAST` or `FIRST-LAST%AT_ONCE`; at_once 0 means all.

    Raises ValueError, `what is wrong: what to do`.
    """
    found = _ARRAY.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no range of tasks: write FIRST-LAST, or FIRST-LAST%AT_ONCE (`0-9%4`)")
    first, last = int(found[1]), int(found[2])
    if last < first:
        raise ValueError(f"the range {text} is empty: write the smaller number first")
    if last > LAST_INDEX:
        raise ValueError(f"the index {last} is too large: number the tasks from 0 to at most {LAST_INDEX}")
    if last - first >= MOST_TASKS:
        raise ValueError(f"the range {text} has {last - first + 1} tasks: an array has {MOST_TASKS} at most")
    if found[3] is not None and int(found[3]) < 1:
        raise ValueError(f"{text} lets none run: at least one has to run at once")
    return {"first": first, "last": last, "at_once": int(found[3] or 0)}


def parse_begin(text: str, now: datetime.datetime | None = None) -> str:
    """Return a moment as UTC in ISO 8601: of `+90m`, `+2h`, `+1d`, or of an ISO 8601 date and time.

    A time without a zone is this computer's own. Raises ValueError, `what is wrong: what to do`.
    """
    now = now or datetime.datetime.now(datetime.UTC)
    span = _SPAN.fullmatch(text)
    if span is not None:
        moment = now + datetime.timedelta(**{_UNITS[span[2]]: int(span[1])})
    else:
        try:
            moment = datetime.datetime.fromisoformat(text).astimezone(datetime.UTC)
        except (ValueError, OverflowError):
            raise ValueError(
                f"{text!r} is no time: write `2026-11-23T06:00`, with or without a zone, or `+2h`"
            ) from None
    if moment < now:
        raise ValueError(f"{text} is over: name a time to come, or leave it out")
    if moment - now > _LONGEST_WAIT:
        raise ValueError(f"{text} is more than a year away: name an earlier time")
    return moment.strftime("%Y-%m-%dT%H:%M:%S.000Z")


def task_ids(run_id: str, array: Mapping[str, Any]) -> dict[int, str]:
    """Return the id of the run that each task of an array is, by its index."""
    return {index: f"{run_id}-a{index}" for index in range(int(array["first"]), int(array["last"]) + 1)}
