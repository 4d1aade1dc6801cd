"""What `fleetform sweep` prints for a person."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from scripts.console_io import say, table, warn
from stacks import naming

if TYPE_CHECKING:
    from fleet.orphans.choice import Choice, Outcome
    from fleet.orphans.judge import Found
    from fleet.orphans.report import AccountSweep

_HEADERS = ("kind", "id", "whose", "why it is ours", "why it is left", "age", "an hour", "a month")
_TITLES = {
    "orphan": "LEFT OVER: ours, and no environment that stands has it",
    "past its lease": "PAST ITS LEASE: ours, and its time is over",
    "not proven": "LOOKS LIKE OURS, NOT PROVEN: look yourself; never deleted from here",
    "ending by itself": "ENDING BY ITSELF: costs nothing and needs nobody",
    "another's": "ANOTHER TOOL'S, though it looks like ours: never touched",
}


def show(found: AccountSweep, *, everything: bool) -> None:
    """Print a table for each verdict; what is another tool's only with `everything`."""
    from fleet.orphans.judge import VERDICTS

    for verdict in VERDICTS:
        some = found.of(verdict)
        if not some or (verdict == "another's" and not everything):
            continue
        say(_TITLES[verdict])
        say(table(_HEADERS, [row(each, found) for each in some], right=(5, 6, 7)))
        say(_total(some))
        say()
    for name in found.unheard:
        warn(f"nothing in the account tells of an environment {name}")
    for unseen in found.not_looked:
        warn(f"not looked at: {unseen.title}: {unseen.why}")


def row(each: Found, found: AccountSweep) -> tuple[str, ...]:
    """Return one thing's row of the table."""
    from fleet.orphans.report import age_hours
    from fleet.receipt import usd
    from stacks.catalog import HOURS_PER_MONTH

    thing, hours = each.listed.thing, age_hours(each, found.account.now)
    name = f" ({thing.name})" if thing.name and thing.name != thing.id else ""
    hour = thing.usd_per_hour
    return (
        thing.kind,
        f"{thing.id}{name}",
        f"{each.environment} ({each.team})" if each.team else each.environment,
        each.proof,
        each.reason,
        age(hours),
        usd(hour),
        usd(None if hour is None else hour * HOURS_PER_MONTH),
    )


def age(hours: float | None) -> str:
    """Return an age in words: hours up to two days, then days; "" where it is not known."""
    if hours is None:
        return ""
    return f"{hours:.0f} h" if hours < 48 else f"{hours / 24:.0f} d"


def _total(some: Sequence[Found]) -> str:
    from fleet.orphans.report import usd_per_hour
    from fleet.receipt import usd
    from stacks.catalog import HOURS_PER_MONTH

    hour = usd_per_hour(some)
    month = usd(hour * HOURS_PER_MONTH)
    return f"{len(some)} together: {usd(hour)} an hour, {month} a month, beside what costs by use"


def choice_lines(choice: Choice) -> Iterator[str]:
    """Yield what is going to be deleted, by kind in the order of deletion, and what stays with why."""
    yield f"goes: {_counted(choice.goes)}"
    if marks := [each.found for each in choice.marks]:
        things = "1 thing that stays gets" if len(marks) == 1 else f"{len(marks)} things that stay get"
        yield (
            f"{things} the tag {naming.TAG_ENVIRONMENT}, because what alone proves whose they are goes: "
            f"{_counted(marks)}"
        )
    yield from (f"stays, tagged: {_named(each.found)}: {each.why}" for each in choice.marks)
    yield from (f"stays: {_named(each.found)}: {each.why}" for each in choice.stays)


def _counted(found: Iterable[Found]) -> str:
    counts = Counter(each.listed.thing.kind for each in found)
    return ", ".join(f"{count} {kind}" for kind, count in counts.items())


def outcome_lines(outcomes: Iterable[Outcome]) -> Iterator[str]:
    """Yield what became of each thing that was to be deleted."""
    for each in outcomes:
        yield f"{each.result}: {_named(each.found)}" + (f": {each.why}" if each.why else "")


def verdict_lines(found: AccountSweep) -> Iterator[str]:
    """Yield the look in one sentence, with what it looked at."""
    where = ", ".join(found.account.regions)
    yield f"looked at {found.listed} things of the account {found.account.id} in {where}"
    if others := len(found.of("another's")):
        yield f"{others} of other tools look like ours and are left alone (--all shows them)"
    yield found.verdict


def _named(found: Found) -> str:
    return f"{found.listed.thing.kind} {found.listed.thing.id}"
