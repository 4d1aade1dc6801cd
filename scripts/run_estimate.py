"""What `fleetform run --estimate` prints: how long a run would take, what it would cost, whether it may."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from scripts.console_io import emit_json, note, say, table, warn

if TYPE_CHECKING:
    from fleet.budget import Budget
    from fleet.job import JobSpec
    from fleet.pace import Expectation
    from fleet.run_costs import Ask


def say_estimate(job: JobSpec, cloud: str | None, *, as_json: bool) -> int:
    """Print the estimate of a job that is not started.

    Raises UserError as `submit` would, last where only the budget is against it.
    """
    from fleet.budget import read_budget
    from fleet.environment import read_outputs
    from fleet.job import build_request
    from fleet.job_queueing import site_of
    from fleet.limits import require_within
    from fleet.list_prices import at_list_price
    from fleet.pace import expected
    from fleet.run_costs import ask_of
    from fleet.session import open_session

    session = open_session(job.environment, cloud, checked=True)
    assert session.caller, "the cloud has answered"
    outputs = read_outputs(session)
    site = site_of(outputs, session.cloud.variables)
    request = build_request(job, outputs.fleets, outputs.run_max_gib, site)
    request = at_list_price(session, request, ask=True)
    found, ask, budget = (
        expected(session, request),
        ask_of(request.to_dict()),
        read_budget(session, team=request.queueing.team),
    )
    if as_json:
        emit_json({"expected": asdict(found), "at_most_usd": ask.usd, "budget": budget.to_dict()})
    else:
        say(table(("", "time", "cost", ""), _rows(found, ask, budget, request.queueing.team)))
        if found.too_long:
            warn("it would be stopped before its end: raise --max-minutes")
    require_within(session, request, outputs)
    if not as_json:
        note(f"list prices: {'; '.join(budget.prices)}")
    return 0


def _rows(found: Expectation, ask: Ask, budget: Budget, team: str) -> list[tuple[str, str, str, str]]:
    from fleet.limits import limits_of
    from fleet.receipt import duration, usd

    hours = None if found.seconds is None else found.seconds / 3600
    rows = [
        ("expected", duration(hours) or "unknown", _money(found.usd), found.basis),
        ("at most", duration(ask.minutes / 60), _money(ask.usd), "as --max-minutes allows"),
    ]
    for limit in limits_of(budget, team):
        whose = f" of the team {limit.team}" if limit.team else ""
        rows.append(("left", "", f"{limit.left:.2f} USD", f"of {usd(limit.usd)}{whose} for {budget.month}"))
    return rows


def _money(amount: float | None) -> str:
    from fleet.receipt import usd

    return "unknown" if amount is None else usd(amount)
