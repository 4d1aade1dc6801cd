"""`fleetform cost`: what environments came to, by team, person, run or day, and what the time went into."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING

import click

from scripts.console_io import emit_json, note, say, table, warn
from scripts.options import cloud_option, json_option

if TYPE_CHECKING:
    from fleet.costs.read import EnvironmentCosts
    from fleet.costs.report import Group
    from fleet.costs.told import CostReport
    from fleet.session import Session

_TITLES = {
    "useful": "useful",
    "overhead": "overhead",
    "failed_launch": "failed",
    "under_way": "under way",
    "idle": "idle",
    "leftover": "leftover",
}
"""Columns of GPU-hours by use; what stands beside machines has none."""


@click.command()
@click.argument("environment", required=False, default="")
@click.option("--team", metavar="NAME", default="", help="This team's alone.")
@click.option("--person", metavar="NAME", default="", help="This person's alone.")
@click.option("--run", metavar="RUN", default="", help="This run's alone.")
@click.option("--since", metavar="DAY", default="", help="First day, in UTC. [default: the month's first]")
@click.option("--until", metavar="DAY", default="", help="Last day. [default: until now]")
@click.option(
    "--by",
    default="team",
    metavar="WHAT",
    help="What makes a row: team, person, run, environment, fleet, day or use. [default: team]",
)
@click.option(
    "--billed", is_flag=True, help="Ask Cost Explorer, too, what was billed (an answer costs 0.01 USD)."
)
@click.option(
    "--trail/--no-trail", default=True, help="Read the account's trail for machines that have gone."
)
@json_option
@cloud_option
def command(
    environment: str, team: str, person: str, run: str, since: str, until: str, by: str, billed: bool,
    trail: bool, as_json: bool, cloud: str | None,
) -> int:  # fmt: skip
    """Say what ENVIRONMENT, or every environment, came to: useful, idle, failed, left over.

    At list price, by AWS's Price List where it answers, else by the dated catalogue: the answer says which.
    docs/costs.md says what each column is.
    """
    from fleet.costs.billed import read_billed
    from fleet.costs.told import Chosen, cost_report, period_of, require_known, with_bill

    chosen = Chosen(team=team, person=person, run=run)
    require_known(chosen, by, ())
    begin, end = period_of(since, until, datetime.datetime.now(datetime.UTC))
    sessions = _sessions(environment, cloud)
    found = [_costs(each, begin, end, team=team, trail=trail) for each in sessions]
    require_known(chosen, by, [line for each in found for line in each.lines], warn)
    report = cost_report(found, begin, end, by, chosen)
    if billed:
        names = [each.environment for each in found]
        report = with_bill(report, read_billed(sessions[0].cloud, names, begin, end))
    if as_json:
        emit_json(report.to_dict())
    else:
        _print(report)
    return 0


def _sessions(environment: str, cloud: str | None) -> list[Session]:
    """Return the environments that are asked for; raises UserError where the project has none."""
    from fleet.project import find_project
    from fleet.session import open_session
    from stacks.environment import environment_files
    from stacks.problems import UserError

    if environment:
        return [open_session(environment, cloud)]
    names = [file.stem for file in environment_files(find_project().environments)]
    if not names:
        raise UserError.of("the project declares no environment", "begin with `fleetform init NAME`")
    return [open_session(name, cloud) for name in names]


def _costs(
    session: Session, begin: datetime.datetime, end: datetime.datetime, *, team: str, trail: bool
) -> EnvironmentCosts:
    from fleet.costs.read import environment_costs

    assert session.caller, "the cloud has answered"
    return environment_costs(session, begin, end, team=team, trail=trail, ask_prices=True)


def _print(report: CostReport) -> None:
    from fleet.costs.amounts import cents

    rows = [_row(report, each) for each in report.groups]
    rows.append(_row(report, report.whole, "all"))
    bill = [] if report.billed is None or report.billed.why_none else ["billed"]
    headers = [report.by, *(f"{title} h" for title in _TITLES.values()), "GPU-hours", "USD", *bill]
    say(table(headers, [row[: len(headers)] for row in rows], right=range(1, len(headers))))
    note(
        f"{report.since:%Y-%m-%d %H:%M} to {report.until:%Y-%m-%d %H:%M} UTC, hours of GPUs, list prices "
        "without tax"
    )
    for each in report.prices:
        note(f"prices of {each}")
    if report.billed is not None and not report.billed.why_none:
        still = ", some of it an estimate still" if report.billed.estimated else ""
        note(f"billed: Cost Explorer, unblended, by tag: {cents(report.billed.total)} USD{still}")
    elif report.billed is not None:
        warn(report.billed.why_none)
    for each in report.notes:
        warn(each)


def _row(report: CostReport, group: Group, name: str = "") -> list[str]:
    from fleet.costs.amounts import cents, rounded

    hours = [rounded(group.gpu_hours_by_use[use], 1) for use in _TITLES]
    billed = report.billed.total if name and report.billed else report.billed_for(group.key)
    return [
        name or group.key or "(nobody)",
        *(str(each) if each else "" for each in hours),
        str(rounded(group.gpu_hours, 1)),
        str(cents(group.usd)),
        "" if billed is None else str(cents(billed)),
    ]
