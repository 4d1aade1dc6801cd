"""What an environment has cost in a month, what its active runs may still cost, and what is left of it all.

All at list price, and for all the time that a run may take; `fleet/limits.py` holds a run against it.
docs/budget.md says what counts.
"""

from __future__ import annotations

import datetime
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from fleet.ended_costs import RememberedCosts
from fleet.holds import is_of, others_hold
from fleet.machine_costs import MachineCosts, machine_costs
from fleet.refused import is_refused, require_team
from fleet.run_costs import run_costs
from fleet.run_store import RunStore, open_runs
from fleet.session import Session
from fleet.team_budgets import TeamBudget, team_budgets

FORMAT = "fleetform-budget/1"
_BEFORE = datetime.timedelta(days=31)
"""Runs of so long before the month are looked at, which may have lasted into it; of longer where they may."""


@dataclass(frozen=True, kw_only=True)
class Budget:
    """An environment's money in one calendar month, US dollars at list price."""

    environment: str
    month: str
    """`2026-11`, in UTC."""
    limit: float | None
    """None where its file sets none."""
    machines: float
    """What its machines have cost that run now, since the month began, with what else stands."""
    torn_down: float
    """What was torn down in the month, as far as this project has the receipts."""
    runs: float
    """What runs have cost beside: on machines that have gone, and their own file systems."""
    reservations: Mapping[str, float]
    """What each active run may still cost, by its id."""
    holds: Mapping[str, float]
    """What submits hold that are under way, by the id that the run will have."""
    notes: tuple[str, ...]
    """What could not be counted; a sentence each."""
    prices: tuple[str, ...] = ()
    """Where the prices are from; a sentence each."""
    teams: tuple[TeamBudget, ...] = ()
    """Each team that shares it, the own one first, as far as the caller may see its runs."""

    @property
    def spent(self) -> float:
        """What it has cost in the month."""
        return self.machines + self.torn_down + self.runs

    @property
    def reserved(self) -> float:
        """What its active runs may still cost, those too that are being submitted."""
        return sum(self.reservations.values()) + sum(self.holds.values())

    @property
    def left(self) -> float | None:
        """What a run may cost now, below zero where the limit is passed; None without a limit."""
        return None if self.limit is None else self.limit - self.spent - self.reserved

    def to_dict(self) -> dict[str, Any]:
        """Return everything, the sums too, as JSON has it."""
        sums = {"spent": self.spent, "reserved": self.reserved, "left": self.left}
        teams = [each.to_dict() for each in self.teams]
        return {"format": FORMAT, **asdict(self), **sums, "prices": "; ".join(self.prices), "teams": teams}


def read_budget(
    session: Session,
    now: datetime.datetime | None = None,
    team: str = "",
    *,
    submitting: str = "",
    ask_prices: bool = False,
) -> Budget:
    """Return what the environment has cost in the month of `now` (UTC), which is the time where not given.

    `team` is the caller's: who is of a further team may list no others' runs; what is missing so, the budget
    says. `submitting` is the run that asks: what it holds itself is not counted. `ask_prices`: of AWS.
    """
    now = now or datetime.datetime.now(datetime.UTC)
    begin = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    spec = session.spec
    longest = datetime.timedelta(hours=spec.scheduler.longest_hours)
    store, run_ids, others = _seen_runs(session, team, f"{begin - max(_BEFORE, longest):%Y%m%d}")
    stood = machine_costs(session, begin, now, ask_prices=ask_prices)
    remembered = RememberedCosts(session.project.work(session.cloud.name, spec.name) / "run-costs.json")
    runs = run_costs(store, run_ids, begin, stood.instances, remembered)
    if others:
        runs = replace(runs, hidden=frozenset({"", *spec.further_teams}))
    reserved = {
        each: usd for each, usd in runs.reserved.items() if not submitting or not is_of(each, submitting)
    }
    holds, unseen = others_hold(store, reserved, submitting)
    return Budget(
        environment=spec.name,
        month=f"{begin:%Y-%m}",
        limit=spec.budget.usd_per_month or None,
        machines=stood.running + stood.standing,
        torn_down=stood.torn_down,
        runs=runs.spent,
        reservations=reserved,
        holds=holds,
        notes=(*_notes(stood, runs.not_priced, others=bool(runs.hidden)), *unseen),
        prices=stood.prices,
        teams=tuple(team_budgets(spec, runs, reserved, holds, team)),
    )


def _seen_runs(session: Session, team: str, since: str) -> tuple[RunStore, list[str], bool]:
    """Return the runs, their ids since a day, and whether these are the caller's team's alone."""
    store = open_runs(session)
    try:
        return store, list(store.run_ids(since)), False
    except Exception as error:
        if not is_refused(error):
            raise
        require_team(team, session.spec.further_teams, error)
        return store, list(open_runs(session, team).run_ids(since)), True


def _notes(stood: MachineCosts, runs: Collection[str], *, others: bool) -> Iterator[str]:
    """Yield what could not be counted."""
    if stood.not_priced:
        yield f"machines of types without a price are not counted: {', '.join(stood.not_priced)}"
    if stood.unread:
        yield f"these receipts of teardowns can't be read, and are not counted: {', '.join(stood.unread)}"
    if runs:
        yield f"nobody knows what these runs cost: {', '.join(runs)}"
    if others:
        yield "runs of other teams, which you may not see, count only with machines that still run"
