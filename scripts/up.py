"""`fleetform up`: build an environment, or bring it up to date."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from scripts.console_io import emit_json, live, say, table, warn
from scripts.options import cloud_option, environment_argument, json_option, yes_option

if TYPE_CHECKING:
    from fleet.plan import StackPlan
    from fleet.session import Session
    from fleet.terraform_events import Report
    from fleet.up import UpResult


@click.command()
@environment_argument
@yes_option
@click.option(
    "--account", is_flag=True, help="Bring the account's stack up to date too, where it stands already."
)
@click.option(
    "--wait", default=None, type=click.FloatRange(min=0), help="Seconds to wait for the machines; 0: none."
)
@json_option
@cloud_option
def command(
    environment: str, yes: bool, account: bool, wait: float | None, as_json: bool, cloud: str | None
) -> int:
    """Build ENVIRONMENT, or change it to what its file says.

    Shows the plan and asks first, unless --yes is given. An interrupted `up` goes on where it stopped.
    """
    from dataclasses import asdict

    from fleet.session import open_session
    from fleet.up import READY_SECONDS, UpOptions, up
    from scripts.progress import reporter

    session = open_session(environment, cloud, act="environment.up")
    report = reporter()
    plans: list[StackPlan] = []
    try:
        if not yes:
            plans = _planned(session, report)
            if all(each.empty for each in plans):
                say(f"{environment} is what its file says")
                return 0
            click.confirm(f"Build {environment} in {session.cloud}?", abort=True, err=True)
        seconds = READY_SECONDS if wait is None else wait
        result = up(session, report, UpOptions(account=account, ready_seconds=seconds, plans=tuple(plans)))
    finally:
        for each in plans:
            if each.file:
                each.file.unlink(missing_ok=True)  # a plan holds what a state holds
    live.clear()
    if as_json:
        emit_json(asdict(result))
    else:
        _show(environment, result)
    return 0


def _planned(session: Session, report: Report) -> list[StackPlan]:
    """Plan, and print what would change."""
    from fleet.plan import plan
    from scripts.plan import show_plans

    confirm_possible("fleetform up")
    plans = plan(session, report, keep=True)
    live.clear()
    show_plans(plans)
    return plans


def confirm_possible(verb: str) -> None:
    """Raise UserError where nobody can be asked: standard input is no terminal."""
    from stacks.problems import UserError

    if not sys.stdin.isatty():
        raise UserError.of(
            "there is no terminal to ask on", f"say that it may act: `{verb} ... --yes`", path="--yes"
        )


def _show(environment: str, result: UpResult) -> None:
    rows = [(each.stack, each.changes, each.resources, f"{each.seconds:.1f}") for each in result.stacks]
    say(table(("stack", "changes", "resources", "seconds"), rows, right=(2, 3)))
    if result.readiness and not result.readiness.complete:
        warn(f"{result.readiness}; the others may still be booting")
    say(f"{environment} is up after {result.seconds:.0f} s")
