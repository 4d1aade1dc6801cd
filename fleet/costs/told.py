"""A cost report as people and programs get it: which lines, put together by what, and where each is from."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from typing import Any

from fleet.costs.amounts import cents, micro_usd, rounded
from fleet.costs.billed import Billed
from fleet.costs.read import EnvironmentCosts
from fleet.costs.report import BY, USES, Group, Line, grouped, total
from stacks.problems import Problem, UserError, nearest

FORMAT = "fleetform-cost/1"
_BILLED_BY = ("environment", "day")
"""What a bill can be told by; it knows neither runs nor people."""


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """Which lines are wanted; "" is all."""

    team: str = ""
    person: str = ""
    run: str = ""

    def has(self, line: Line) -> bool:
        """Return whether a line is one of them."""
        asked = ((self.team, line.team), (self.person, line.person), (self.run, line.run))
        return all(wanted in ("", told) for wanted, told in asked)


@dataclass(frozen=True, kw_only=True)
class CostReport:
    """What environments came to in a period."""

    since: datetime.datetime
    until: datetime.datetime
    by: str
    lines: tuple[Line, ...]
    prices: tuple[str, ...]
    notes: tuple[str, ...]
    billed: Billed | None = None
    """None where nobody asked for it, or only some of the lines are wanted."""

    @cached_property
    def groups(self) -> tuple[Group, ...]:
        """The lines put together."""
        return tuple(grouped(self.lines, self.by))

    @cached_property
    def whole(self) -> Group:
        """All of the lines."""
        return total(self.lines)

    def billed_for(self, key: str) -> Fraction | None:
        """Return what a row was billed with, None where a bill does not tell it."""
        if self.billed is None or self.billed.why_none or self.by not in _BILLED_BY:
            return None
        return self.billed.of_day(key) if self.by == "day" else self.billed.of_environment(key)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON has it: money in millionths of a dollar, and to the cent as text."""
        billed = self.billed and {
            "source": "Cost Explorer, unblended, by tag",
            "micro_usd": micro_usd(self.billed.total),
            "estimated": self.billed.estimated,
            "why_none": self.billed.why_none,
        }
        return {
            "format": FORMAT,
            "since": self.since.isoformat(),
            "until": self.until.isoformat(),
            "by": self.by,
            "total": _told(self.whole, None),
            "rows": [_told(each, self.billed_for(each.key)) for each in self.groups],
            "lines": [_line(each) for each in self.lines],
            "billed": billed,
            "prices": list(self.prices),
            "notes": list(self.notes),
        }


def cost_report(
    found: Sequence[EnvironmentCosts],
    since: datetime.datetime,
    until: datetime.datetime,
    by: str,
    chosen: Chosen,
) -> CostReport:
    """Return the chosen lines of the environments, put together."""
    lines = [line for each in found for line in each.lines if chosen.has(line)]
    several = len(found) > 1
    notes = [f"{each.environment}: {note}" if several else note for each in found for note in each.notes]
    return CostReport(
        since=since,
        until=until,
        by=by,
        lines=tuple(sorted(lines, key=lambda line: (line.day, line.environment, line.run, line.use))),
        prices=tuple(dict.fromkeys(price for each in found for price in each.prices)),
        notes=tuple(dict.fromkeys(notes)),
    )


def with_bill(report: CostReport, billed: Billed) -> CostReport:
    """Return the report with what was billed beside it."""
    return replace(report, billed=billed)


def period_of(since: str, until: str, now: datetime.datetime) -> tuple[datetime.datetime, datetime.datetime]:
    """Return the period of two days in UTC, both of them in it; the month until now where they are "".

    Raises UserError with all that is wrong with them.
    """
    problems: list[Problem] = []
    begin = _day(since, "--since", problems) or now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    last = _day(until, "--until", problems)
    end = last + datetime.timedelta(days=1) if last else now
    if not problems and (begin > end or (last and begin >= end)):
        what = f"the period from {begin:%Y-%m-%d} ends before it begins"
        problems.append(Problem(what=what, do="take an earlier --since or a later --until", path="--since"))
    if problems:
        raise UserError(problems)
    return begin, end


def _day(text: str, option: str, problems: list[Problem]) -> datetime.datetime | None:
    if not text:
        return None
    try:
        return datetime.datetime.combine(datetime.date.fromisoformat(text), datetime.time(), datetime.UTC)
    except ValueError:
        do = "write the day as 2026-11-23"
        problems.append(Problem(what=f"{text!r} is no day", do=do, path=option))
        return None


def require_known(
    chosen: Chosen, by: str, lines: Iterable[Line], tell: Callable[[str], None] = lambda said: None
) -> None:
    """Raise UserError for a BY that there is not; `tell` hears of a choice that no line has."""
    if by not in BY:
        near = nearest(by, BY)
        do = f"did you mean {near!r}?" if near else f"choose one of {', '.join(BY)}"
        raise UserError.of(f"there is no --by {by!r}", do, path="--by")
    known = list(lines)
    for name in ("team", "person", "run"):
        wanted, there = getattr(chosen, name), sorted({getattr(line, name) for line in known} - {""})
        if wanted and wanted not in there:
            near = nearest(wanted, there)
            tell(f"nothing of the {name} {wanted!r}" + (f": did you mean {near!r}?" if near else ""))


def _told(group: Group, billed: Fraction | None) -> dict[str, Any]:
    return {
        "key": group.key,
        "usd": str(cents(group.usd)),
        "micro_usd": micro_usd(group.usd),
        "gpu_hours": float(rounded(group.gpu_hours, 6)),
        "by_use": {
            use: {
                "usd": str(cents(group.usd_by_use[use])),
                "micro_usd": micro_usd(group.usd_by_use[use]),
                "gpu_hours": float(rounded(group.gpu_hours_by_use[use], 6)),
            }
            for use in USES
        },
        "billed_usd": None if billed is None else str(cents(billed)),
    }


def _line(line: Line) -> dict[str, Any]:
    return {
        "day": line.day,
        "environment": line.environment,
        "team": line.team,
        "person": line.person,
        "run": line.run,
        "fleet": line.fleet,
        "use": line.use,
        "gpu_hours": float(rounded(line.gpu_hours, 6)),
        "node_hours": float(rounded(line.node_hours, 6)),
        "micro_usd": micro_usd(line.usd),
    }
