"""`fleetform lease`: when an environment ends, and how that is put off."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import click

from scripts.console_io import emit_json, live, note, say
from scripts.options import cloud_option, environment_argument, json_option, yes_option

if TYPE_CHECKING:
    from fleet.lease import Extension, LeaseStatus
    from fleet.plan import StackPlan
    from fleet.session import Session
    from fleet.terraform_events import Report


@click.group()
def command() -> None:
    """Show when an environment ends, and put the end off, within what the account allows."""


@command.command()
@environment_argument
@json_option
@cloud_option
def show(environment: str, as_json: bool, cloud: str | None) -> int:
    """Say when ENVIRONMENT ends, by its file and in the cloud. Exit code 1 where the lease is over."""
    from dataclasses import asdict

    from fleet.lease import read_lease
    from fleet.session import open_session

    status = read_lease(open_session(environment, cloud))
    if as_json:
        emit_json({**asdict(status), "days_left": status.days_left, "is_over": status.is_over})
    else:
        for line in _lines(status):
            say(line)
    return 1 if status.is_over else 0


@command.command()
@environment_argument
@click.option("--until", required=True, type=click.DateTime(["%Y-%m-%d"]), help="The new last day, in UTC.")
@click.option("--reason", required=True, help="Why; it is put on record.")
@click.option(
    "--wait", default=None, type=click.FloatRange(min=0), help="Seconds to wait for the machines; 0: none."
)
@yes_option
@cloud_option
def extend(
    environment: str, until: datetime, reason: str, wait: float | None, yes: bool, cloud: str | None
) -> int:
    """Let ENVIRONMENT stand for longer: change its file, show the plan, ask, and apply it.

    Machines that a lease had ended are started again. Whatever else the file says differently from what
    stands is applied too, and shown in the plan.
    """
    from fleet.lease import EVENT, propose, standing_stacks
    from fleet.session import open_session
    from scripts.progress import reporter

    session = open_session(environment, cloud)
    report = reporter()
    with session.recording_refusal(EVENT, environment):
        extension = propose(session, until.date(), reason)
    extension.write()
    plans: list[StackPlan] = []
    try:
        # Read again: what is built is what the file says now, and it must pass every rule.
        session = open_session(environment, cloud, act=EVENT)
        stacks = standing_stacks(session)
        if not yes:
            plans = _planned(session, report, stacks)
            question = f"Extend the lease of {environment} from {extension.before} to {extension.until}?"
            click.confirm(question, abort=True, err=True)
        _apply(session, report, extension, plans, wait)
    except BaseException:
        from fleet.lease import settle_failure

        live.clear()
        settle_failure(session, extension, note)
        raise
    finally:
        for each in plans:
            if each.file:
                each.file.unlink(missing_ok=True)  # a plan holds what a state holds
    live.clear()
    say(f"the lease of {environment} ends on {extension.until} now")
    return 0


def _planned(session: Session, report: Report, stacks: tuple[str, ...]) -> list[StackPlan]:
    """Plan the stacks that stand, and print what would change."""
    from fleet.plan import plan
    from scripts.plan_output import show_stack
    from scripts.up import confirm_possible

    confirm_possible("fleetform lease extend")
    plans = [each for each in plan(session, report, keep=True) if each.stack in stacks]
    live.clear()
    for each in plans:
        show_stack(each)
    return plans


def _apply(
    session: Session, report: Report, extension: Extension, plans: list[StackPlan], wait: float | None
) -> None:
    """Apply what was shown, on record."""
    from fleet.lease import EVENT, standing_stacks
    from fleet.up import READY_SECONDS, UpOptions, up
    from stacks import naming

    stacks = standing_stacks(session)
    seconds = READY_SECONDS if wait is None else wait
    if naming.fleet_stack(session.spec.name) not in stacks:
        seconds = 0.0  # there are no machines to wait for
    about = {"from": str(extension.before), "to": str(extension.until), "reason": extension.reason}
    with session.ledger.act(EVENT, session.spec.name, **about):
        up(session, report, UpOptions(ready_seconds=seconds, plans=tuple(plans), stacks=stacks))


def _lines(status: LeaseStatus) -> list[str]:
    """Return the lease in words."""
    name, left = status.environment, status.days_left
    end = status.standing or status.declared
    if status.is_over:
        lines = [f"{name}: the lease ended with {end}; today is {status.today} (UTC)"]
    else:
        when = {0: "today", 1: "tomorrow"}.get(left, f"in {left} days")
        lines = [f"{name}: the last day is {end} (UTC), {when}"]
    if status.standing is None:
        lines.append("  nothing in the cloud ends it yet: it is not built, or was by an older fleetform")
    elif status.standing != status.declared:
        lines.append(f"  the file says {status.declared}; `fleetform up {name}` applies that")
    if status.at_rest:
        lines.append(f"  held at zero: {', '.join(status.at_rest)}")
    days = " and ".join(str(day) for day in status.warn_days) or "no"
    whom = ", ".join(status.emails) or "the account's alerts alone (`alerts.emails` names more)"
    lines.append(f"  warnings {days} days before, to {whom}")
    lines.append(
        f"  `fleetform lease extend {name} --until DATE --reason TEXT` goes to {status.latest} at most"
    )
    return lines
