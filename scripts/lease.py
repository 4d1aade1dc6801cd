"""`fleetform lease`: when an environment ends, and how that is put off."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import nullcontext, redirect_stdout
from datetime import datetime
from typing import TYPE_CHECKING

import click

from scripts.console_io import emit_json, live, note, say, warn
from scripts.options import cloud_option, environment_argument, json_option, machines_options, yes_option

if TYPE_CHECKING:
    from fleet.extension import Extended
    from fleet.lease import Extension, LeaseStatus
    from fleet.plan import StackPlan
    from fleet.session import Session

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
    from functools import partial

    from fleet.extension import extend as extend_lease
    from fleet.session import open_session
    from fleet.up import READY_SECONDS, UpOptions
    from scripts.progress import reporter
    from scripts.up import confirm_possible, require_reason

    require_reason(anyway)
    if not yes:
        confirm_possible("fleetform lease extend")
    extended = extend_lease(
        open_session(environment, cloud),
        until.date(),
        reason,
        reporter(),
        tell=note,
        options=UpOptions(ready_seconds=READY_SECONDS if wait is None else wait, anyway=anyway or ""),
        approve=None if yes else partial(_approve, as_json=as_json),
    )
    live.clear()
    _show(environment, extended, as_json)
    readiness = extended.result.readiness
    return 1 if readiness and readiness.shortages else 0


def _approve(session: Session, extension: Extension, plans: Sequence[StackPlan], *, as_json: bool) -> None:
    """Print what would change, with `--json` to standard error, and ask."""
    from fleet.extension import other_changes
    from scripts.plan_output import setting_line, show_stack

    live.clear()
    with redirect_stdout(sys.stderr) if as_json else nullcontext():
        for each in plans:
            show_stack(each)
        if others := other_changes(session):
            say("what the file changes besides the lease, applied with it:")
            for change in others:
                say(f"  {setting_line(change)}")
    question = f"Extend the lease of {session.spec.name} from {extension.before} to {extension.until}?"
    click.confirm(question, abort=True, err=True)


def _show(environment: str, extended: Extended, as_json: bool) -> None:
    """Print what holds now, and what is still lacking."""
    from dataclasses import asdict

    extension, result = extended.extension, extended.result
    if as_json:
        about = {"environment": environment, "from": extension.before, "to": extension.until}
        emit_json({"format": FORMAT, **about, **asdict(result)})
    else:
        say(f"the lease of {environment} ends on {extension.until} now")
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
