"""Reads what an environment's cost report is made of: its runs, its machines, its stacks, the prices."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from fleet.costs.amounts import exact, milliseconds
from fleet.costs.facts import Facts, Gone, Standing
from fleet.costs.machine_times import read_machine_times
from fleet.costs.periods import gone_periods, standing_periods
from fleet.costs.prices import Prices
from fleet.costs.report import Line, lines_of
from fleet.costs.run_times import read_run_times
from fleet.costs.runs_gone import RUNS, runs_gone
from fleet.errors import ActError
from fleet.ledger_index import LedgerIndex, index_file
from fleet.ledger_reading import Entry
from fleet.ledger_tables import Wanted
from fleet.list_prices import list_prices
from fleet.refused import is_refused, require_team
from fleet.run_store import RunStore, open_runs
from fleet.session import Session
from stacks import naming
from stacks.price_rules import costs_per_hour

_BEFORE = datetime.timedelta(days=31)
"""Runs of so long before the period are looked at, which may last into it; of longer where they may."""
_ON_MACHINES = ("machines", "disks")
HISTORY = "environment."
"""Events of an environment's building and teardown, in the ledger with its name as their target."""
History = tuple[list[Entry], tuple[str, ...]]
"""These entries in order, and what is not known of them, a sentence each."""


def read_history(session: Session) -> History:
    """Return the environment's history by the index of this machine, which is brought up to date first."""
    try:
        return _index(session).find(Wanted(target=session.spec.name, event=HISTORY)), ()
    except ActError as error:
        return [], (without_history(str(error)),)


def read_runs_on_record(session: Session) -> list[Entry]:
    """Return the entries on the environment's runs by the same index, as far as it was brought."""
    return _index(session).find(Wanted(environment=session.spec.name, event=RUNS))


def _index(session: Session) -> LedgerIndex:
    ledger = session.ledger
    return LedgerIndex(index_file(session.project, session.cloud.name, ledger.bucket), ledger)


def without_history(why: str) -> str:
    """Return the sentence that says what is missing where the history is."""
    return f"{why}: what stands beside machines and what was left over after a teardown is not counted"


@dataclass(frozen=True, kw_only=True)
class EnvironmentCosts:
    """What one environment came to in a period."""

    environment: str
    lines: tuple[Line, ...]
    prices: tuple[str, ...]
    """Where the prices are from, a sentence each."""
    notes: tuple[str, ...]
    """What could not be known, a sentence each."""


def environment_costs(
    session: Session,
    since: datetime.datetime,
    until: datetime.datetime,
    *,
    team: str = "",
    trail: bool = False,
    ask_prices: bool = False,
    history: Callable[[Session], History] = read_history,
    on_record: Callable[[Session], list[Entry]] = read_runs_on_record,
    runs: RunStore | None = None,
) -> EnvironmentCosts:
    """Return what the environment came to between two moments (UTC), as far as it is over by now.

    `team` is the caller's: who is of a further team sees that one's runs alone, and no idle machine. With
    `trail` the account's trail is read too, with `ask_prices` AWS's price list where none is kept this week.
    `history` knows when the environment was built and torn down, `on_record` its runs, for who has an index
    of the ledger already; `runs` are its run directories, for who has them open.
    """
    now = datetime.datetime.now(datetime.UTC)
    until = min(until, now)
    spec = session.spec
    types = [spec.head.instance_type, *(each.instance_type for each in spec.fleets.values())]
    prices = list_prices(session, types, ask=ask_prices)
    facts = read_facts(
        session, prices, since, now, team=team, trail=trail, history=history, on_record=on_record, runs=runs
    )
    lines = lines_of(facts, milliseconds(since), max(milliseconds(since), milliseconds(until)))
    return EnvironmentCosts(environment=spec.name, lines=tuple(lines), prices=prices.notes, notes=facts.notes)


def read_facts(
    session: Session,
    prices: Prices,
    since: datetime.datetime,
    now: datetime.datetime,
    *,
    team: str = "",
    trail: bool = False,
    history: Callable[[Session], History] = read_history,
    on_record: Callable[[Session], list[Entry]] = read_runs_on_record,
    runs: RunStore | None = None,
) -> Facts:
    """Return everything that is known of the environment from `since` to `now`, both in UTC."""
    spec, begin, end = session.spec, milliseconds(since), milliseconds(now)
    longest = datetime.timedelta(hours=spec.scheduler.longest_hours)
    store, first = runs or open_runs(session), f"{since - max(_BEFORE, longest):%Y%m%d}"
    try:
        run_ids = store.run_ids(first)
    except Exception as error:
        if not is_refused(error):
            raise
        require_team(team, spec.further_teams, error)
        times = read_run_times(store, spec, open_runs(session, team).run_ids(first), now)
        return Facts(held=times.held, notes=tuple(_notes(times.not_told, others=True)))
    times = read_run_times(store, spec, run_ids, now)
    stood = read_machine_times(session, times.held, prices, begin, now, trail=trail)
    entries, trouble = history(session)
    ended = standing_periods(entries, spec.name, naming.base_stack(spec.name), begin, end) or []
    if any(
        begin < torn_down < end for _, torn_down in ended
    ):  # with its artifact bucket, where that was not kept
        lost = runs_gone(on_record(session), run_ids, begin, end)
        trouble = (*trouble, str(lost)) if lost else trouble
    return Facts(
        machines=stood.machines,
        held=times.held,
        standing=tuple(_standing(session, entries, begin, end)),
        gone=tuple(_gone(session, entries, begin, end)),
        notes=(*_notes(times.not_told, others=times.not_seen > 0), *stood.notes, *trouble),
    )


def _standing(session: Session, entries: list[Entry], begin: int, end: int) -> Iterator[Standing]:
    """Yield what costs beside machines while it stands, at what the file declares now."""
    spec = session.spec
    parts = costs_per_hour(spec, session.account.region)
    for stack in naming.environment_stacks(spec.name):
        usd = sum((exact(usd) for part, usd in parts.items() if _stack_of(session, part) == stack), exact(0))
        periods = standing_periods(entries, spec.name, stack, begin, end) or []
        for begun, ended in periods if usd else ():
            yield Standing(environment=spec.name, team=spec.team, usd_per_hour=usd, begun=begun, ended=ended)


def _stack_of(session: Session, part: str) -> str:
    """Return the stack that a part of the costs belongs to, "" for machines, which count by themselves."""
    if part in _ON_MACHINES:
        return ""
    name = session.spec.name
    scratch = part == "fast file system" and session.spec.fsx.kind == "scratch"
    return naming.fleet_stack(name) if scratch else naming.base_stack(name)


def _gone(session: Session, entries: list[Entry], begin: int, end: int) -> Iterator[Gone]:
    name = session.spec.name
    stood = standing_periods(entries, name, naming.fleet_stack(name), begin, end)
    for begun, ended in gone_periods(stood or [], end):
        yield Gone(environment=name, begun=begun, ended=ended)


def _notes(not_told: tuple[str, ...], *, others: bool) -> Iterator[str]:
    if not_told:
        yield f"nobody knows what these runs cost: {', '.join(not_told)}"
    if others:
        yield "runs of other teams, which you may not see, count only with machines that still run"
