"""Money and time as the cost report adds them up: exact, and rounded once, where they are shown.

An amount is a fraction of US dollars, a time a whole number of milliseconds since the epoch. So a sum does
not depend on the order in which it was made, and the cents are right however many parts it has.
"""

from __future__ import annotations

import datetime
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_MILLISECOND = datetime.timedelta(milliseconds=1)


def exact(value: float | int | str | Decimal) -> Fraction:
    """Return a number as it is written: 0.1 is a tenth. Raises ValueError for what is no finite number."""
    return Fraction(str(value))


def milliseconds(moment: datetime.datetime | str) -> int:
    """Return a moment, or its text in ISO 8601, which must name its zone."""
    if isinstance(moment, str):
        moment = datetime.datetime.fromisoformat(moment)
    if moment.tzinfo is None:
        raise ValueError(f"{moment} names no zone")
    return (moment - _EPOCH) // _MILLISECOND


def moment_of(time_ms: int) -> datetime.datetime:
    """Return the moment in UTC."""
    return _EPOCH + datetime.timedelta(milliseconds=time_ms)


def day_of(time_ms: int) -> str:
    """Return the day in UTC that a moment is in: `2026-11-23`."""
    return moment_of(time_ms).date().isoformat()


def overlap(begin: int, end: int, since: int, until: int) -> int:
    """Return how many milliseconds of the one period lie in the other."""
    return max(0, min(end, until) - max(begin, since))


def rounded(amount: Fraction, digits: int) -> Decimal:
    """Return the amount with so many decimals, a half rounded up, as a bill does it."""
    scale: int = 10**digits
    sign = -1 if amount < 0 else 1
    whole = (abs(amount) * scale * 2 + 1) // 2
    return (Decimal(sign * int(whole)) / scale).quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP)


def cents(amount: Fraction) -> Decimal:
    """Return US dollars to the cent."""
    return rounded(amount, 2)


def micro_usd(amount: Fraction) -> int:
    """Return the amount in millionths of a US dollar, as JSON has it."""
    return int(rounded(amount * 1_000_000, 0))
