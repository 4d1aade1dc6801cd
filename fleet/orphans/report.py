"""What a look through an account found, as a value: what is left, its price, what nobody could look at."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from fleet.listings.things import NotLooked
from fleet.orphans.judge import VERDICTS, Found, Verdict
from fleet.orphans.proofs import Account
from fleet.receipt import hourly, price_note
from stacks.catalog import HOURS_PER_MONTH

FORMAT = "fleetform-sweep/1"
PROVEN: tuple[Verdict, ...] = ("orphan", "past its lease")
"""What is ours beyond doubt and should not be there."""
LEFT: tuple[Verdict, ...] = (*PROVEN, "not proven")
"""What somebody has to do something about."""


@dataclass(frozen=True, kw_only=True)
class AccountSweep:
    """One look through an account."""

    cloud: str
    account: Account
    listed: int
    """How many things there are in the account that a listing told of, everybody's."""
    found: tuple[Found, ...]
    not_looked: tuple[NotLooked, ...]
    unheard: tuple[str, ...] = ()
    """Environments that were asked for and that nothing in the account tells of: misspelt, perhaps."""

    def of(self, *verdicts: Verdict) -> tuple[Found, ...]:
        """Return what was found with one of these verdicts."""
        return tuple(each for each in self.found if each.verdict in verdicts)

    @property
    def clean(self) -> bool:
        """Whether it is proven that nothing is left."""
        return not self.of(*LEFT) and not self.not_looked

    @property
    def verdict(self) -> str:
        """The look in one sentence."""
        proven, doubtful = self.of(*PROVEN), self.of("not proven")
        if proven:
            hour = usd_per_hour(proven)
            said = (
                f"{_are(len(proven))} left, at {hour:.4f} USD an hour ({hour * HOURS_PER_MONTH:.2f} a month)"
            )
        else:
            said = "nothing of ours is proven to be left" if doubtful else "nothing is left"
        if doubtful:
            said += f"; {_are(len(doubtful))} for you to look at"
        return said + ("; not everything could be looked at" if self.not_looked else "")

    def to_dict(self) -> dict[str, Any]:
        """Return everything, as JSON has it."""
        return {
            "format": FORMAT,
            "cloud": self.cloud,
            "account": self.account.id,
            "regions": list(self.account.regions),
            "time": self.account.now.isoformat(),
            "listed": self.listed,
            "verdict": self.verdict,
            "clean": self.clean,
            "prices": price_note(),
            "found": [to_row(each, self.account.now) for each in self.found],
            "totals": {verdict: _total(self.of(verdict)) for verdict in VERDICTS},
            "unheard": list(self.unheard),
            "not_looked": [{"what": each.title, "why": each.why} for each in self.not_looked],
        }


def to_row(found: Found, now: datetime.datetime) -> dict[str, Any]:
    """Return one thing as JSON has it."""
    thing, hours = found.listed.thing, age_hours(found, now)
    return {
        "verdict": found.verdict,
        "kind": thing.kind,
        "id": thing.id,
        "name": thing.name,
        "region": found.listed.region,
        "environment": found.environment,
        "team": found.team,
        "proof": found.proof,
        "reason": found.reason,
        "created": thing.created.isoformat() if thing.created else None,
        "age_hours": None if hours is None else round(hours, 1),
        "usd_per_hour": thing.usd_per_hour,
        "usd_per_month": None if thing.usd_per_hour is None else thing.usd_per_hour * HOURS_PER_MONTH,
        "holds_data": found.listed.holds_data,
        "note": thing.note,
    }


def age_hours(found: Found, now: datetime.datetime) -> float | None:
    """Return for how long a thing has been there, None where its service does not tell."""
    created = found.listed.thing.created
    return None if created is None else max(0.0, (now - created).total_seconds() / 3600)


def usd_per_hour(found: Iterable[Found]) -> float:
    """Return the known hourly prices added up."""
    return hourly(each.listed.thing for each in found)


def _total(found: Sequence[Found]) -> dict[str, Any]:
    hour = usd_per_hour(found)
    return {"things": len(found), "usd_per_hour": hour, "usd_per_month": hour * HOURS_PER_MONTH}


def _are(number: int) -> str:
    return "1 thing is" if number == 1 else f"{number} things are"
