"""The limits that a run is held against before it starts: the environment's budget, and its team's own.

`fleet/reservation.py` takes it from them, so that two submits cannot both have the rest. That keeps people
from spending by mistake; it is no fence: whoever may edit the environment's file may lift a limit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fleet.budget import Budget, read_budget
from fleet.costs.prices import Prices
from fleet.job import LaunchRequest
from fleet.job_checks import most_nodes
from fleet.list_prices import list_prices
from fleet.priced import counted
from fleet.receipt import usd
from fleet.run_costs import Ask, ask_of
from fleet.run_store import team_of
from fleet.session import Session
from fleet.team_budgets import limit_of
from stacks.environment import EnvironmentSpec
from stacks.outputs import EnvironmentOutputs, FleetOutputs
from stacks.problems import Problem, UserError

_BUDGET = "budget.usd_per_month"


class HeldByOthersError(UserError):
    """There would be enough left, but for other submits that are under way and may yet fail."""


@dataclass(frozen=True, kw_only=True)
class Limit:
    """One limit that a run counts against, US dollars a month at list price."""

    setting: str
    """Dotted path in the environment's file."""
    environment: str
    team: str
    """The team whose own it is, "" for the environment's."""
    usd: float
    spent: float
    reserved: float
    """What active runs may still cost, those too that are being submitted."""
    held: float
    """What of that submits hold that are under way."""

    @property
    def left(self) -> float:
        """What a run may cost now, below zero where the limit is passed."""
        return self.usd - self.spent - self.reserved


def limiting(spec: EnvironmentSpec, team: str) -> tuple[str, ...]:
    """Return the settings that limit what a run of the team may cost; "" is the environment's own team."""
    whole = (_BUDGET,) if spec.budget.usd_per_month else ()
    return (*whole, *((_setting(team),) if limit_of(spec, team) else ()))


def limits_of(budget: Budget, team: str) -> Iterator[Limit]:
    """Yield the limits that a run of the team counts against; "" is the environment's own team."""
    if budget.limit is not None:
        yield Limit(
            setting=_BUDGET, environment=budget.environment, team="", usd=budget.limit, spent=budget.spent,
            reserved=budget.reserved, held=sum(budget.holds.values()),
        )  # fmt: skip
    for each in budget.teams:
        if each.team == team and each.limit is not None:
            yield Limit(
                setting=_setting(team), environment=budget.environment, team=team, usd=each.limit,
                spent=each.spent, reserved=each.reserved, held=each.held,
            )  # fmt: skip


def _setting(team: str) -> str:
    return f"scheduler.teams.{team}.usd_per_month"


def require_within(
    session: Session, request: LaunchRequest, outputs: EnvironmentOutputs, *, submitting: str = ""
) -> Budget | None:
    """Return the budget that the run fits in, None where nothing limits it.

    Raises UserError, with what would fit, where it might cost more than is left; HeldByOthersError where only
    submits that are under way are in the way. `submitting` is its id, where it may hold money by now.
    """

    def fits(left: float) -> Iterator[str]:
        prices = list_prices(session, (each.instance_type for each in outputs.fleets.values()))
        return (f"{option} {value}" for option, value in fitting(request, outputs.fleets, left, prices))

    return _require(session, ask_of(request.to_dict()), request.queueing.team, fits, submitting)


def require_within_again(session: Session, run: Mapping[str, Any]) -> Budget | None:
    """Do the same for a run that is to be resumed, by its `run.json`: it may take all its time anew."""
    run_id = str(run["run_id"])
    return _require(session, ask_of(run), team_of(run_id), lambda left: (), run_id)


def or_when_others_are_done(check: Callable[[], Budget | None]) -> Budget | None:
    """Return what the check returns; None where other submits alone are in the way, which may yet end."""
    try:
        return check()
    except HeldByOthersError:
        return None


def _require(
    session: Session, ask: Ask, team: str, fitting: Callable[[float], Iterable[str]], submitting: str
) -> Budget | None:
    settings, file = limiting(session.spec, team), f"environments/{session.spec.name}.toml"
    if not settings:
        return None
    if ask.usd is None:
        what = "the catalog has no price for what it asks for, so it can't be held against the budget"
        raise UserError.of(what, f"run it on another fleet, or take {' and '.join(settings)} out of {file}")
    budget = read_budget(session, team=team, submitting=submitting)
    limits = list(limits_of(budget, team))
    over = [each for each in limits if ask.usd > each.left]
    if over:
        fits = " or ".join(f"`{each}`" for each in fitting(min(each.left for each in limits)))
        held = all(ask.usd <= each.left + each.held for each in over)
        problems = _over(ask, over, budget.month, fits, file)
        raise (HeldByOthersError if held else UserError)(problems)
    return budget


def _over(ask: Ask, over: Sequence[Limit], month: str, fits: str, file: str) -> list[Problem]:
    """Return the limits that are in the way, and what would fit all of them."""
    less = f"ask for less, which would fit: {fits}; or wait" if fits else "wait"
    return [
        Problem(
            what=f"it may cost up to {usd(ask.usd)} ({_in_words(ask)}), and {_left_in_words(limit, month)}",
            do=f"{less} until active runs end or the month does, or have {limit.setting} raised in {file}",
            path=limit.setting,
        )
        for limit in over
    ]


def _in_words(ask: Ask) -> str:
    """Return how an amount comes about: "4 nodes for 1440 minutes at 1.01 USD an hour each"."""
    tasks = f"{ask.tasks} tasks of " if ask.tasks > 1 else ""
    storage = f", {usd(ask.storage_usd_per_hour)} an hour for its files" if ask.storage_usd_per_hour else ""
    each = f"{usd(ask.usd_per_node_hour)} an hour{' each' if ask.nodes > 1 else ''}"
    return f"{tasks}{counted(ask.nodes, 'node')} for {counted(ask.minutes, 'minute')} at {each}{storage}"


def _left_in_words(limit: Limit, month: str) -> str:
    """Return what is left of what, and why no more."""
    begun = f"{usd(limit.spent)} are spent, {usd(limit.reserved)} kept for active runs"
    left = usd(limit.left) if limit.left > 0 else "nothing"
    team, environment = limit.team, limit.environment
    if team:
        return (
            f"{left} is left of the {limit.usd:g} USD of the team {team} in {environment} "
            f"for {month}: {begun}"
        )
    return f"{left} is left of the {limit.usd:g} USD of {environment} for {month}: {begun}"


def fitting(
    request: LaunchRequest, fleets: Mapping[str, FleetOutputs], left: float, prices: Prices
) -> Iterator[tuple[str, str]]:
    """Yield the options that would each by itself let a run that is too dear cost no more than `left` USD.

    `--max-minutes`, `--nodes` or `--fleet`, with the value.
    """
    ask = ask_of(request.to_dict())
    hourly = ask.usd_per_hour or 0.0
    minutes = int(left / hourly * 60) if hourly else 0
    if (replace(ask, minutes=minutes).usd or 0.0) > left:
        minutes -= 1  # by the last digit of a division
    if minutes >= 1:
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
