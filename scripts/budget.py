"""`fleetform budget`: what an environment has cost this month, and what is left of its budget."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from scripts.console_io import emit_json, note, say, table, warn
from scripts.options import cloud_option, environment_argument, json_option

if TYPE_CHECKING:
    from fleet.budget import Budget

TEAM_COLUMNS = ("runs of the team", "spent", "kept", "its limit", "left")


@click.command()
@environment_argument
@click.option(
    "--team", envvar="FLEETFORM_TEAM", metavar="NAME", default="", help="Your own, where several share it."
)
@json_option
@cloud_option
def command(environment: str, team: str, as_json: bool, cloud: str | None) -> int:
    """Say what ENVIRONMENT has cost this month, what its active runs may still cost, and what is left.

    The limit is `usd_per_month` in the table [budget] of its file; a run that might cost more than is left of
    it is refused. All at list price. Below stands what the runs of each team come to that shares it, with its
    own limit, and what AWS Budgets counts by the bill, and does.
    """
    from fleet.budget import read_budget
    from fleet.budget_net import look_at_net
    from fleet.session import open_session

    session = open_session(environment, cloud)
    budget, (net, unseen) = read_budget(session, team=team, ask_prices=True), look_at_net(session)
    if as_json:
        emit_json({**budget.to_dict(), "aws_budgets": net.to_dict() if net else None})
        return 0
    say(table(("US dollars", budget.month), [(what, f"{usd:.2f}") for what, usd in rows(budget)], right=(1,)))
    if budget.teams:
        say(f"\n{table(TEAM_COLUMNS, team_rows(budget), right=(1, 2, 3, 4))}")
    if net:
        say("\n  ".join(net.lines()))
    note(f"list prices: {'; '.join(budget.prices)}")
    for each in (*budget.notes, *unseen):
        warn(each)
    return 0


def team_rows(budget: Budget) -> list[tuple[str, ...]]:
    """Return a line for each team: what its runs have cost, what is kept for them, its limit, what's left."""
    return [
        (
            each.team,
            f"{each.spent:.2f}",
            f"{each.reserved:.2f}",
            *("" if usd is None else f"{usd:.2f}" for usd in (each.limit, each.left)),
        )
        for each in budget.teams
    ]


def rows(budget: Budget) -> list[tuple[str, float]]:
    """Return the lines of the table: where the money went, what is kept, what is left."""
    spent = [
        ("machines that run, and what stands beside them", budget.machines),
        ("torn down this month", budget.torn_down),
        ("runs on machines that have gone", budget.runs),
        ("spent", budget.spent),
    ]
    kept = [(f"kept for the run {run_id}", usd) for run_id, usd in budget.reservations.items()]
    kept += [(f"held while {run_id} is submitted", usd) for run_id, usd in budget.holds.items()]
    if budget.limit is None or budget.left is None:
        return [*spent, *kept]
    return [*spent, *kept, ("the budget", budget.limit), ("left", budget.left)]
