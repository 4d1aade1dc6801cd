"""When a schedule of EventBridge Scheduler is due: its expressions at(), rate() and cron() (its user guide).

In a cron expression a day may be the month's last (`L`); `W`, `#` and the last weekday of a month are not
emulated.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

_MINUTE = timedelta(minutes=1)
_UNITS = {"minute": _MINUTE, "hour": timedelta(hours=1), "day": timedelta(days=1)}
_MONTHS = {name.upper(): number for number, name in enumerate(calendar.month_abbr) if name}
_WEEKDAYS = {"SUN": 1, "MON": 2, "TUE": 3, "WED": 4, "THU": 5, "FRI": 6, "SAT": 7}
_LONGEST_SEARCH = timedelta(days=400)
"""How far back a cron expression is searched for when it was last due."""

Due = Callable[[datetime, datetime], datetime | None]
"""Returns the last time after the first argument, and no later than the second, that the schedule is due."""


def is_one_time(expression: str) -> bool:
    """Return whether the schedule calls once."""
    return expression.startswith("at(")


def parse_expression(expression: str, zone: str, began: datetime) -> Due:
    """Return the expression as a function; `began` is what a rate counts from.

    Raises ValueError for what is no expression, NotImplementedError for what is not emulated.
    """
    kind, _, rest = expression.partition("(")
    if not rest.endswith(")"):
        raise ValueError(expression)
    inside = rest[:-1]
    if kind == "at":
        moment = one_time(expression, zone)
        return lambda after, until: moment if after < moment <= until else None
    if kind == "rate":
        return _rate(inside, began)
    if kind == "cron":
        return _cron(inside, ZoneInfo(zone))
    raise ValueError(expression)


def one_time(expression: str, zone: str) -> datetime:
    """Return the moment of an at() expression. Raises ValueError for anything else."""
    found = re.fullmatch(r"at\((\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2})\)", expression)
    if not found:
        raise ValueError(expression)
    return datetime.fromisoformat(found.group(1)).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)


def _rate(text: str, began: datetime) -> Due:
    found = re.fullmatch(r"([1-9]\d*) (minute|hour|day)s?", text)
    if not found:
        raise ValueError(text)
    step = int(found.group(1)) * _UNITS[found.group(2)]

    def due(after: datetime, until: datetime) -> datetime | None:
        last = began + (until - began) // step * step
        return last if last > max(after, began) else None

    return due


def _cron(text: str, zone: ZoneInfo) -> Due:
    fields = text.split()
    if len(fields) != 6 or (fields[2] == "?") == (fields[4] == "?"):
        raise ValueError(text)
    minutes, hours = _numbers(fields[0], 0, 59), _numbers(fields[1], 0, 23)
    months, years = _numbers(fields[3], 1, 12, _MONTHS), _numbers(fields[5], 1970, 2199)
    last_day = fields[2] == "L"
    days = None if fields[2] in ("?", "L") else _numbers(fields[2], 1, 31)
    weekdays = None if fields[4] == "?" else _numbers(fields[4], 1, 7, _WEEKDAYS)

    def is_day(local: datetime) -> bool:
        if local.month not in months or local.year not in years:
            return False
        if last_day:
            return (local + timedelta(days=1)).day == 1
        return local.day in days if days is not None else local.isoweekday() % 7 + 1 in (weekdays or ())

    def due(after: datetime, until: datetime) -> datetime | None:
        moment = until.replace(second=0, microsecond=0)
        earliest = max(after, until - _LONGEST_SEARCH)
        while moment > earliest:
            local = moment.astimezone(zone)
            if local.minute in minutes and local.hour in hours and is_day(local):
                return moment
            moment -= _MINUTE
        return None

    return due


def _numbers(field: str, low: int, high: int, names: dict[str, int] | None = None) -> frozenset[int]:
    """Return the values of one field: `*`, `5`, `1-5`, `MON-FRI`, `0/15`, and lists of these."""
    found: set[int] = set()
    for part in field.upper().split(","):
        for name, value in (names or {}).items():
            part = part.replace(name, str(value))
        if re.search(r"[LW#]", part):
            raise NotImplementedError(field)
        shape = re.fullmatch(r"(\*|\d+)(?:-(\d+))?(?:/(\d+))?", part)
        if not shape:
            raise ValueError(field)
        first, last, step = shape.groups()
        begin = low if first == "*" else int(first)
        end = int(last) if last else high if first == "*" or step else begin
        if not low <= begin <= end <= high or step == "0":
            raise ValueError(field)
        found |= set(range(begin, end + 1, int(step or 1)))
    return frozenset(found)
