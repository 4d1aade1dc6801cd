"""`fleetform up`: build an environment, or bring it up to date."""

from __future__ import annotations

import sys
from contextlib import nullcontext, redirect_stdout
from typing import TYPE_CHECKING

import click

from scripts.console_io import emit_json, live, say, table, warn
from scripts.options import cloud_option, environment_argument, json_option, machines_options, yes_option

if TYPE_CHECKING:
    from fleet.plan_report import PlanReport
    from fleet.session import Session
    from fleet.terraform_events import Report
    from fleet.up import UpOptions, UpResult

FORMAT = "fleetform-up/1"


@click.command()
@environment_argument
@yes_option
@click.option(
    "--account", is_flag=True, help="Bring the account's stack up to date too, where it stands already."
)
@machines_options
@json_option
@cloud_option
def command(
    environment: str,
    yes: bool,
    account: bool,
    wait: float | None,
    anyway: str | None,
    as_json: bool,
    cloud: str | None,
) -> int:
    """Build ENVIRONMENT, or change it to what its file says.

    Shows the plan and its price and asks first, unless --yes is given. Refuses to end nodes on which a run
    is active. An interrupted `up` goes on where it stopped. Exits with 1 where AWS had no capacity for all
    machines; what it had is kept, and the group goes on trying.
    """
    from fleet.session import open_session
    from fleet.up import READY_SECONDS, UpOptions, up
    from scripts.progress import reporter

    require_reason(anyway)
    session = open_session(environment, cloud, act="environment.up")
    options = UpOptions(
        account=account, ready_seconds=READY_SECONDS if wait is None else wait, anyway=anyway or ""
    )
    report = reporter()
    result = up(session, report, options) if yes else _ask_and_build(session, report, options, as_json)
    live.clear()
    if as_json:
        _emit(environment, result)
    else:
        _show(environment, result)
    return 1 if result.readiness and result.readiness.shortages else 0


def _ask_and_build(session: Session, report: Report, options: UpOptions, as_json: bool) -> UpResult:
    """Show the plan, ask, and apply what was shown; where there is nothing to do nobody is asked."""
    from dataclasses import replace

    from fleet.budget_net import held_back
    from fleet.plan import kept_plans
    from fleet.up import UpResult, up

    with kept_plans(session):
        plan = _planned(session, report, as_json)
        held = held_back(session) if plan.empty else ""
        if plan.empty and not held:
            return UpResult(stacks=(), made_buckets=(), readiness=None, seconds=0.0)
        question = f"{held}: take the stop off?" if held else _question(session, plan)
        click.confirm(question, abort=True, err=True)
        return up(session, report, replace(options, plans=plan.stacks))


def _planned(session: Session, report: Report, as_json: bool) -> PlanReport:
    """Plan, and print what would change, what it costs, and what becomes of running nodes.

    With `--json` that goes to standard error, for the answer is what was done.
    """
    from fleet.plan_report import plan_report
    from scripts.plan_output import show_report

    confirm_possible("fleetform up")
    plan = plan_report(session, report, keep=True)
    live.clear()
    with redirect_stdout(sys.stderr) if as_json else nullcontext():
        show_report(plan)
    return plan


def _question(session: Session, plan: PlanReport) -> str:
    """Return the question with the price in it: what is agreed to costs this much."""
    from fleet.receipt import usd

    price = plan.price
    return (
        f"Build {session.spec.name} in {session.cloud}, at {usd(price.usd_per_hour_running)} an hour while "
        f"its fleets run and {usd(price.usd_per_day_idle)} a day idle?"
    )


def confirm_possible(verb: str) -> None:
    """Raise UserError where nobody can be asked: standard input is no terminal."""
    from stacks.problems import UserError

    if not sys.stdin.isatty():
        raise UserError.of(
            "there is no terminal to ask on", f"say that it may act: `{verb} ... --yes`", path="--yes"
        )


def require_reason(anyway: str | None) -> None:
    """Raise UserError where `--anyway` was given without saying why."""
    from stacks.problems import UserError

    if anyway is not None and not anyway.strip():
        raise UserError.of("the reason is empty", "say why: `--anyway REASON`", path="--anyway")


def _emit(environment: str, result: UpResult) -> None:
    """Print what was done as data; `stacks` is empty where there was nothing to do."""
    from dataclasses import asdict

    emit_json({"format": FORMAT, "environment": environment, **asdict(result)})


def _show(environment: str, result: UpResult) -> None:
    if not result.stacks:
        say(f"{environment} is what its file says")
        return
    rows = [(each.stack, each.changes, each.resources, f"{each.seconds:.1f}") for each in result.stacks]
    say(table(("stack", "changes", "resources", "seconds"), rows, right=(2, 3)))
    readiness = result.readiness
    if readiness and readiness.shortages:
        warn(f"{environment} is not all there after {result.seconds:.0f} s: {readiness}")
        for each in readiness.shortages:
            warn(str(each))
        warn("`up` with --yes waits for the rest again, and keeps what there is")
        return
    if readiness and not readiness.complete:
        warn(f"{readiness}; the others may still be booting")
    say(f"{environment} is up after {result.seconds:.0f} s")
