"""What an environment has cost in a month, what its active runs may still cost, and what is left of it all.

A run is held against it before it starts, at list price and for all the time that it may take;
`fleet/reservation.py` takes it from the budget, so that two submits cannot both have the rest. That keeps
people from spending by mistake; it is no fence: whoever may edit the environment's file may lift the limit.
docs/budget.md says what counts.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from fleet import aws
from fleet.costs.prices import Prices
from fleet.ended_costs import RememberedCosts
from fleet.holds import is_of, others_hold
from fleet.job import LaunchRequest
from fleet.job_checks import most_nodes
from fleet.list_prices import list_prices
from fleet.machine_costs import MachineCosts, machine_costs
from fleet.priced import counted
from fleet.receipt import usd
from fleet.run_costs import Ask, ask_of, run_costs
from fleet.run_store import RunStore, open_runs
from fleet.session import Session
from stacks.outputs import EnvironmentOutputs, FleetOutputs
from stacks.problems import Problem, UserError

FORMAT = "fleetform-budget/1"
_BEFORE = datetime.timedelta(days=31)
"""Runs of so long before the month are looked at, which may have lasted into it; of longer where they may."""


class HeldByOthersError(UserError):
    """There would be enough left, but for other submits that are under way and may yet fail."""


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
        return {"format": FORMAT, **asdict(self), **sums, "prices": "; ".join(self.prices)}


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
        notes=(*_notes(stood, runs.not_priced, others=others or runs.not_seen > 0), *unseen),
        prices=stood.prices,
    )


def _seen_runs(session: Session, team: str, since: str) -> tuple[RunStore, list[str], bool]:
    """Return the runs, their ids since a day, and whether these are the caller's team's alone."""
    store = open_runs(session)
    try:
        return store, list(store.run_ids(since)), False
    except Exception as error:
        if aws.error_code(error) != "AccessDenied" or team not in session.spec.further_teams:
            raise
        return store, list(open_runs(session, team).run_ids(since)), True


def require_within(
    session: Session, request: LaunchRequest, outputs: EnvironmentOutputs, *, submitting: str = ""
) -> Budget | None:
    """Return the budget that the run fits in, None where the environment has none.

    Raises UserError, with what would fit, where it might cost more than is left; HeldByOthersError where only
    submits that are under way are in the way. `submitting` is its id, where it may hold money by now.
    """

    def fits(left: float) -> Iterator[str]:
        prices = list_prices(session, (each.instance_type for each in outputs.fleets.values()))
        return (f"{option} {value}" for option, value in fitting(request, outputs.fleets, left, prices))

    return _require(session, ask_of(request.to_dict()), request.queueing.team, fits, submitting)


def require_within_again(session: Session, run: Mapping[str, Any]) -> Budget | None:
    """Do the same for a run that is to be resumed, by its `run.json`: it may take all its time anew."""
    team = str(run.get("team") or "")
    return _require(session, ask_of(run), team, lambda left: (), str(run["run_id"]))


def or_when_others_are_done(check: Callable[[], Budget | None]) -> Budget | None:
    """Return what the check returns; None where other submits alone are in the way, which may yet end."""
    try:
        return check()
    except HeldByOthersError:
        return None


def _require(
    session: Session, ask: Ask, team: str, fitting: Callable[[float], Iterable[str]], submitting: str
) -> Budget | None:
    if not session.spec.budget.usd_per_month:
        return None
    file = f"environments/{session.spec.name}.toml"
    if ask.usd is None:
        what = "the catalog has no price for what it asks for, so it can't be held against the budget"
        raise UserError.of(what, f"run it on another fleet, or take budget.usd_per_month out of {file}")
    budget = read_budget(session, team=team, submitting=submitting)
    left = budget.left
    assert left is not None, "there is a limit"
    if ask.usd > left:
        fits = " or ".join(f"`{each}`" for each in fitting(left))
        less = f"ask for less, which would fit: {fits}; or wait" if fits else "wait"
        problem = Problem(
            what=f"it may cost up to {usd(ask.usd)} ({_in_words(ask)}), and {_left_in_words(budget)}",
            do=f"{less} until active runs end or the month does, or have budget.usd_per_month raised in "
            f"{file}",
            path="budget.usd_per_month",
        )
        held = ask.usd <= left + sum(budget.holds.values())
        raise (HeldByOthersError if held else UserError)([problem])
    return budget


def _in_words(ask: Ask) -> str:
    """Return how an amount comes about: "4 nodes for 1440 minutes at 1.01 USD an hour each"."""
    tasks = f"{ask.tasks} tasks of " if ask.tasks > 1 else ""
    storage = f", {usd(ask.storage_usd_per_hour)} an hour for its files" if ask.storage_usd_per_hour else ""
    each = f"{usd(ask.usd_per_node_hour)} an hour{' each' if ask.nodes > 1 else ''}"
    return f"{tasks}{counted(ask.nodes, 'node')} for {counted(ask.minutes, 'minute')} at {each}{storage}"


def _left_in_words(budget: Budget) -> str:
    """Return what is left of what, and why no more."""
    assert budget.left is not None and budget.limit is not None, "there is a limit"
    begun = f"{usd(budget.spent)} are spent, {usd(budget.reserved)} kept for active runs"
    left = usd(budget.left) if budget.left > 0 else "nothing"
    return f"{left} is left of the {budget.limit:g} USD of {budget.environment} for {budget.month}: {begun}"


def fitting(
    request: LaunchRequest, fleets: Mapping[str, FleetOutputs], left: float, prices: Prices
) -> Iterator[tuple[str, str]]:
    """Yield the options that would each by itself let a run that is too dear cost no more than `left` USD.

    `--max-minutes`, `--nodes` or `--fleet`, with the value.
    """
    ask = ask_of(request.to_dict())
    hourly = ask.usd_per_hour or 0.0
    if (minutes := int(left / hourly * 60) if hourly else 0) >= 1:
        yield "--max-minutes", str(minutes)
    for nodes in range(ask.nodes - 1, 0, -1):
        if (replace(ask, nodes=nodes).usd or 0.0) <= left:
            yield "--nodes", str(nodes)
            break
    for name, fleet in sorted(fleets.items()):
        known = prices.of_type(fleet.instance_type)
        enough = most_nodes(fleet, request.queueing.scheduler) >= ask.nodes
        if known is None or name == request.fleet or not enough:
            continue
        if (replace(ask, usd_per_node_hour=float(known)).usd or 0.0) <= left:
            yield "--fleet", name


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
