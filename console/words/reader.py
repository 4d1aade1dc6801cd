"""The reader of a page: their language and zone, and how times, money and numbers are written for them."""

from __future__ import annotations

import datetime
import zoneinfo
from dataclasses import dataclass

from babel import Locale
from babel.dates import format_date, format_datetime, format_skeleton
from babel.numbers import format_currency, format_decimal
from babel.units import format_unit

from console.words.languages import ENGLISH, KOREAN, ZONES, translations
from templates.console.parts import Moment

_MOMENTS = {ENGLISH: "d MMM y, HH:mm:ss", KOREAN: "y. M. d. HH:mm:ss"}
"""How a moment is written; with 24 hours, for half of what happens here happens at night."""
_UNITS = (
    ("duration-day", 86400),
    ("duration-hour", 3600),
    ("duration-minute", 60),
    ("duration-second", 1),
)


@dataclass(frozen=True)
class Reader:
    """Somebody who reads; every text of a page that is not in its template goes through here."""

    language: str
    zone: str

    def gettext(self, message: str) -> str:
        """Return the message in the reader's language."""
        return translations(self.language).gettext(message)

    def ngettext(self, one: str, many: str, count: int) -> str:
        """Return the message for that many, with the number in it as `{count}`."""
        return translations(self.language).ngettext(one, many, count).format(count=self.number(count))

    def number(self, value: float, digits: int = 0) -> str:
        """Return a number, rounded to that many decimals."""
        return format_decimal(round(value, digits), locale=self._locale)

    def usd(self, amount: float) -> str:
        """Return an amount of US dollars; what is under a dime is shown to the hundredth of a cent."""
        digits = 2 if amount >= 0.1 or not amount else 4
        form = f"¤#,##0.{'0' * digits}"
        return format_currency(amount, "USD", format=form, locale=self._locale, currency_digits=False)

    def moment(self, when: datetime.datetime | str) -> Moment:
        """Return a moment: for the eye in the reader's zone, for machines and the curious in UTC."""
        moment = datetime.datetime.fromisoformat(when) if isinstance(when, str) else when
        utc = moment.astimezone(datetime.UTC)
        zone, form = zoneinfo.ZoneInfo(self.zone), _MOMENTS[self.language]
        shown = format_datetime(utc, form, tzinfo=zone, locale=self._locale)
        return Moment(
            machine=utc.isoformat(timespec="seconds"), utc=f"{utc:%Y-%m-%d %H:%M:%S} UTC", shown=shown
        )

    def day(self, day: datetime.date) -> str:
        """Return a day."""
        return format_date(day, "long", locale=self._locale)

    def month(self, day: datetime.date) -> str:
        """Return the month that a day is in."""
        return format_skeleton("yMMMM", day, locale=self._locale)

    def span(self, seconds: float) -> str:
        """Return a length of time in its two largest units: "3 min 20 sec"."""
        parts: list[str] = []
        left = round(seconds)
        for unit, length in _UNITS:
            count, left = divmod(left, length)
            if count or (unit == "duration-second" and not parts):
                parts.append(format_unit(count, unit, "short", locale=self._locale))
        return " ".join(parts[:2])

    @property
    def _locale(self) -> Locale:
        return Locale.parse(self.language)


def known_zone(name: str, language: str) -> str:
    """Return the zone of that name where there is one, else the language's own."""
    known = 0 < len(name) <= 64 and name in zoneinfo.available_timezones()
    return name if known else ZONES[language]
