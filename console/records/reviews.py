"""The reviews that are due every month: who may what, and what the record says; signed in the ledger."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Kind = Literal["access", "log"]
KINDS: tuple[Kind, ...] = ("access", "log")
GRACE = datetime.timedelta(days=7)
"""How long after a month's end its reviews may wait."""
MONTHS = 12
"""How far back reviews are asked for."""


@dataclass(frozen=True)
class Month:
    """One calendar month, in UTC."""

    first: datetime.date

    @property
    def period(self) -> str:
        """`2026-11`."""
        return f"{self.first:%Y-%m}"

    @property
    def following(self) -> Month:
        """The month after it."""
        return Month((self.first + datetime.timedelta(days=32)).replace(day=1))

    @property
    def previous(self) -> Month:
        """The month before it."""
        return Month((self.first - datetime.timedelta(days=1)).replace(day=1))

    @property
    def last(self) -> datetime.date:
        """Its last day."""
        return self.following.first - datetime.timedelta(days=1)

    def is_over(self, today: datetime.date) -> bool:
        """Return whether it can be reviewed as a whole."""
        return today >= self.following.first

    def is_overdue(self, today: datetime.date) -> bool:
        """Return whether its reviews should have been signed by now."""
        return today >= self.following.first + GRACE


def month_of(day: datetime.date) -> Month:
    """Return the month that a day is in."""
    return Month(day.replace(day=1))


def months(begun: datetime.date, today: datetime.date) -> Iterator[Month]:
    """Yield the months to review, newest first: those that are over, since the record began."""
    month = month_of(today).previous
    for _ in range(MONTHS):
        if month.following.first <= begun:
            return
        yield month
        month = month.previous


def read_month(text: str, begun: datetime.date, today: datetime.date) -> Month | None:
    """Return the month of that period, None where it is none to review."""
    return next((each for each in months(begun, today) if each.period == text), None)
