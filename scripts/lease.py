"""`fleetform lease`: when an environment ends, and how that is put off."""

from __future__ import annotations

import sys
from contextlib import nullcontext, redirect_stdout
from datetime import datetime
from typing import TYPE_CHECKING

import click

from scripts.console_io import emit_json, live, note, say, warn
from scripts.options import cloud_option, environment_argument, json_option, machines_options, yes_option

if TYPE_CHECKING:
    from fleet.lease import Extension, LeaseStatus
    from fleet.plan import StackPlan
    from fleet.session import Session
    from fleet.setting_changes import SettingChange
    from fleet.terraform_events import Report
    from fleet.up import UpOptions, UpResult

FORMAT = "fleetform-lease/1"
OVER = 4
"""Exit code of a look that found what somebody has to do something about, as with `drift`."""


@click.group()
def command() -> None:
    """Show when an environment ends, and put the end off, within what the account allows."""


@command.command()
@environment_argument
@json_option
@cloud_option
def show(environment: str, as_json: bool, cloud: str | None) -> int:
    """Say when ENVIRONMENT ends, by its file and in the cloud. Exit code 4 where the lease is over."""
    from dataclasses import asdict

    from fleet.lease import read_lease
    from fleet.session import open_session

    status = read_lease(open_session(environment, cloud))
    if as_json:
        emit_json(
            {"format": FORMAT, **asdict(status), "days_left": status.days_left, "is_over": status.is_over}
        )
    else:
        for line in _lines(status):
            say(line)
    return OVER if status.is_over else 0


@command.command()
@environment_argument
@click.option("--until", required=True, type=click.DateTime(["%Y-%m-%d"]), help="The new last day, in UTC.")
@click.option("--reason", required=True, help="Why; it is put on record.")
@machines_options
@yes_option
@json_option
@cloud_option
def extend(
    environment: str,
    until: datetime,
    reason: str,
    wait: float | None,
    anyway: str | None,
    yes: bool,
    as_json: bool,
    cloud: str | None,
) -> int:
    """Let ENVIRONMENT stand for longer: change its file, show the plan, ask, and apply it.

    Machines that a lease had ended are started again. Whatever else the file says differently from what
    stands is applied too: the plan shows it, and with --yes, where nobody sees the plan, it is refused. What
    `up` refuses is refused here as well, but the preflight is asked for a plan alone.
    """
    from fleet.lease import EVENT, propose, settle_failure
    from fleet.session import open_session
    from fleet.up import READY_SECONDS, UpOptions
    from scripts.up import require_reason

    require_reason(anyway)
    session = open_session(environment, cloud)
    with session.recording_refusal(EVENT, environment):
        session.require("lease.extend")
        extension = propose(session, until.date(), reason)
    options = UpOptions(ready_seconds=READY_SECONDS if wait is None else wait, anyway=anyway or "")
    try:
        extension.write()
        # Read again: what is built is what the file says now, and it must pass every rule.
        session = open_session(environment, cloud, act=EVENT)
        result = _extend(session, extension, options, yes, as_json)
    except BaseException:
        live.clear()
        settle_failure(session, extension, note)
        raise
    live.clear()
    _show(session, extension, result, as_json)
    return 1 if result.readiness and result.readiness.shortages else 0


def _extend(session: Session, extension: Extension, options: UpOptions, yes: bool, as_json: bool) -> UpResult:
    """Show the plan and ask, unless nobody is to be asked, and apply it."""
    from dataclasses import replace

    from fleet.lease import EVENT, standing_stacks
    from fleet.plan import kept_plans
    from scripts.progress import reporter
    from stacks import naming

    stacks, report = standing_stacks(session), reporter()
    if naming.fleet_stack(session.spec.name) not in stacks:
        options = replace(options, ready_seconds=0.0)  # there are no machines to wait for
    options = replace(options, stacks=stacks)
    if yes:
        with session.recording_refusal(EVENT, session.spec.name):
            _require_nothing_else(session)
        return _apply(session, report, extension, options)
    with kept_plans(session):
        plans = _planned(session, report, stacks, as_json)
        name = session.spec.name
        question = f"Extend the lease of {name} from {extension.before} to {extension.until}?"
        click.confirm(question, abort=True, err=True)
        return _apply(session, report, extension, replace(options, plans=tuple(plans)))


def _require_nothing_else(session: Session) -> None:
    """Raise UserError where the file says more than the lease differently, which nobody would see."""
    from stacks.problems import UserError

    if others := _other_changes(session):
        raise UserError.of(
            f"the file also changes {', '.join(each.path for each in others)}, which would be applied unseen",
            f"leave --yes out and look at the plan, or run `fleetform up {session.spec.name}` first",
            path="--yes",
        )


def _other_changes(session: Session) -> list[SettingChange]:
    """Return what the file says differently from the fleet that stands, beside the end of the lease."""
    from fleet.plan_report import changed_settings

    return [each for each in changed_settings(session) if each.path != "lease_ends"]


def _planned(session: Session, report: Report, stacks: tuple[str, ...], as_json: bool) -> list[StackPlan]:
    """Plan the stacks that stand, and print what would change; with `--json`, to standard error."""
    from fleet.plan import plan
    from scripts.plan_output import setting_line, show_stack
    from scripts.up import confirm_possible

    confirm_possible("fleetform lease extend")
    plans = plan(session, report, keep=True, only=stacks)
    live.clear()
    with redirect_stdout(sys.stderr) if as_json else nullcontext():
        for each in plans:
            show_stack(each)
        if others := _other_changes(session):
            say("what the file changes besides the lease, applied with it:")
            for change in others:
                say(f"  {setting_line(change)}")
    return plans


def _apply(session: Session, report: Report, extension: Extension, options: UpOptions) -> UpResult:
    """Apply what was shown, on record."""
    from fleet.lease import EVENT
    from fleet.up import up

    about = {"from": str(extension.before), "to": str(extension.until), "reason": extension.reason}
    with session.ledger.act(EVENT, session.spec.name, **about):
        return up(session, report, options)


def _show(session: Session, extension: Extension, result: UpResult, as_json: bool) -> None:
    """Print what holds now, and what is still lacking."""
    from dataclasses import asdict

    if as_json:
        about = {"environment": session.spec.name, "from": extension.before, "to": extension.until}
        emit_json({"format": FORMAT, **about, **asdict(result)})
    else:
        say(f"the lease of {session.spec.name} ends on {extension.until} now")
    if result.readiness and not result.readiness.complete:
        warn(f"{result.readiness}; the others may still be booting")


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
