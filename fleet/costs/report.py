"""The cost report: every hour of every machine once, as what somebody used it for or as what nobody did.

Pure: from facts to lines to sums. A machine's time is its runs', or idle, or left over, and these together
are the time for which it stood; the same holds for the money.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Final

from fleet.costs.amounts import DAY_MS, HOUR_MS, day_of, overlap
from fleet.costs.facts import Facts, Held, Machine

USES: Final = ("useful", "overhead", "failed_launch", "under_way", "idle", "leftover", "standing")
"""What time and money went into, in the order in which they are shown. docs/costs.md says what each is."""
BY: Final = ("team", "person", "run", "environment", "fleet", "day", "use")
"""What lines can be put together by."""
_NOTHING: Final = Fraction(0)


@dataclass(frozen=True, kw_only=True)
class Line:
    """What one use came to for one run, or for none, on one day (UTC)."""

    day: str
    environment: str
    team: str
    person: str
    """"" for what no run used."""
    run: str
    fleet: str
    use: str
    gpu_hours: Fraction
    node_hours: Fraction
    usd: Fraction


@dataclass(frozen=True, kw_only=True)
class Group:
    """Lines that have something in common."""

    key: str
    usd: Fraction
    gpu_hours: Fraction
    usd_by_use: dict[str, Fraction]
    gpu_hours_by_use: dict[str, Fraction]


def lines_of(facts: Facts, since: int, until: int) -> list[Line]:
    """Return what the facts come to between two moments, by day; lines that are alike are one."""
    sums: dict[Line, list[Fraction]] = defaultdict(lambda: [_NOTHING, _NOTHING, _NOTHING])
    machines = {each.instance: each for each in facts.machines}
    for begin, end in _days(since, until):
        for line in _lines_of_period(facts, machines, begin, end):
            known = sums[replace(line, gpu_hours=_NOTHING, node_hours=_NOTHING, usd=_NOTHING)]
            for index, value in enumerate((line.gpu_hours, line.node_hours, line.usd)):
                known[index] += value
    return [
        replace(line, gpu_hours=gpu, node_hours=node, usd=usd)
        for line, (gpu, node, usd) in sums.items()
        if gpu or node or usd
    ]


def grouped(lines: Iterable[Line], by: str) -> list[Group]:
    """Return the lines put together by one of BY: days in order, all else dearest first."""
    assert by in BY, by
    found: dict[str, list[Line]] = defaultdict(list)
    for line in lines:
        found[getattr(line, by)].append(line)
    groups = [_group(key, some) for key, some in found.items()]
    if by == "day":
        return sorted(groups, key=lambda each: each.key)
    return sorted(groups, key=lambda each: (-each.usd, each.key))


def total(lines: Sequence[Line]) -> Group:
    """Return all of the lines as one."""
    return _group("", lines)


def _group(key: str, lines: Iterable[Line]) -> Group:
    usd, hours = dict.fromkeys(USES, _NOTHING), dict.fromkeys(USES, _NOTHING)
    for line in lines:
        usd[line.use] += line.usd
        hours[line.use] += line.gpu_hours
    return Group(
        key=key,
        usd=sum(usd.values(), _NOTHING),
        gpu_hours=sum(hours.values(), _NOTHING),
        usd_by_use=usd,
        gpu_hours_by_use=hours,
    )


def _days(since: int, until: int) -> Iterator[tuple[int, int]]:
    """Yield the days of the period in UTC, the first and the last as far as they lie in it."""
    while since < until:
        end = min(until, (since // DAY_MS + 1) * DAY_MS)
        yield since, end
        since = end


def _lines_of_period(facts: Facts, machines: dict[str, Machine], begin: int, end: int) -> Iterator[Line]:
    on_machine: dict[str, Fraction] = defaultdict(Fraction)
    for held in facts.held:
        part = _part(held, begin, end)
        if part:
            yield from _lines_of_run(held, machines, part, day_of(begin), on_machine)
    for machine in facts.machines:
        yield from _lines_of_machine(facts, machine, begin, end, on_machine[machine.instance])
    for standing in facts.standing:
        if stood := overlap(standing.begun, standing.ended, begin, end):
            usd = standing.usd_per_hour * stood / HOUR_MS
            yield _line(begin, standing.environment, standing.team, "standing", usd=usd)


def _part(held: Held, begin: int, end: int) -> Fraction:
    """Return which part of what it held lies in the period; all of it where it held nothing for no time."""
    if held.ended <= held.begun:
        return Fraction(int(begin <= held.begun < end))
    return Fraction(overlap(held.begun, held.ended, begin, end), held.ended - held.begun)


def _lines_of_run(
    held: Held, machines: dict[str, Machine], part: Fraction, day: str, on_machine: dict[str, Fraction]
) -> Iterator[Line]:
    """Yield what a run used, and add to `on_machine` for how many milliseconds it had each of its nodes."""
    node_ms = held.node_ms * part
    usd = held.own_usd * part
    each = node_ms / len(held.instances) if held.instances else node_ms
    for instance in held.instances or ("",):
        machine = machines.get(instance)
        price = held.usd_per_node_hour if machine is None else machine.usd_per_hour
        usd += each * (price or 0) / HOUR_MS
        on_machine[instance] += each
    for use, share in held.shares:
        yield Line(
            day=day, environment=held.environment, team=held.team, person=held.person, run=held.run_id,
            fleet=held.fleet, use=use, gpu_hours=node_ms * held.gpus * share / HOUR_MS,
            node_hours=node_ms * share / HOUR_MS, usd=usd * share,
        )  # fmt: skip


def _lines_of_machine(facts: Facts, machine: Machine, begin: int, end: int, held: Fraction) -> Iterator[Line]:
    """Yield what of a machine no run used: idle, left over, or standing where it is the head."""
    stood = overlap(machine.begun, machine.ended, begin, end)
    left_over = sum(
        overlap(max(machine.begun, gone.begun), min(machine.ended, gone.ended), begin, end)
        for gone in facts.gone
        if gone.environment == machine.environment
    )
    rest = max(_NOTHING, stood - left_over - held)
    for use, spent in (("leftover", Fraction(left_over)), ("idle" if machine.fleet else "standing", rest)):
        if spent:
            yield _line(
                begin, machine.environment, machine.team, use, fleet=machine.fleet,
                hours=spent / HOUR_MS, gpus=machine.gpus, usd=spent * (machine.usd_per_hour or 0) / HOUR_MS,
            )  # fmt: skip


def _line(
    begin: int, environment: str, team: str, use: str, *, usd: Fraction, fleet: str = "",
    hours: Fraction = _NOTHING, gpus: int = 0,
) -> Line:  # fmt: skip
    return Line(
        day=day_of(begin), environment=environment, team=team, person="", run="", fleet=fleet, use=use,
        gpu_hours=hours * gpus, node_hours=hours, usd=usd,
    )  # fmt: skip
