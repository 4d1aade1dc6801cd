"""Putting off the end of an environment: its file says another day, and what stands is brought up to it."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from fleet.lease import EVENT, Extension, propose, settle_failure, standing_stacks
from fleet.plan import StackPlan, kept_plans, plan
from fleet.plan_report import changed_settings
from fleet.session import Session
from fleet.setting_changes import SettingChange
from fleet.terraform_events import Report
from fleet.up import UpOptions, UpResult, up
from stacks import naming
from stacks.guardrails import load_checked
from stacks.problems import UserError

Approve = Callable[[Session, Extension, Sequence[StackPlan]], None]
"""Shows somebody what an extension would change, and raises what it likes where they do not agree."""


@dataclass(frozen=True, kw_only=True)
class Extended:
    """A lease that ends later now."""

    extension: Extension
    result: UpResult
    """What was done to what stands."""


def extend(
    session: Session,
    until: datetime.date,
    reason: str,
    report: Report,
    *,
    tell: Callable[[str], None],
    options: UpOptions | None = None,
    approve: Approve | None = None,
) -> Extended:
    """Let the environment stand until the end of that day (UTC), on record with the reason.

    Without `approve` nobody sees a plan, so what else the file says differently from what stands is refused.
    Raises what `propose` and `up` do; then file and cloud say the same, or `tell` hears what to do.
    """
    with session.recording_refusal(EVENT, session.spec.name):
        session.require("lease.extend")
        extension = propose(session, until, reason)
    try:
        extension.write()
        result = _bring_up(reread(session), extension, report, options or UpOptions(), approve)
    except BaseException:
        settle_failure(session, extension, tell)
        raise
    return Extended(extension=extension, result=result)


def reread(session: Session) -> Session:
    """Return the session with its files as they are now; what is built of them must pass every rule."""
    name = session.spec.name
    with session.recording_refusal(EVENT, name):
        account, spec = load_checked(session.project.environments, name)
    return replace(session, account=account, spec=spec)


def other_changes(session: Session) -> list[SettingChange]:
    """Return what the file says differently from the fleet that stands, beside the end of the lease."""
    return [each for each in changed_settings(session) if each.path != "lease_ends"]


def _bring_up(
    session: Session, extension: Extension, report: Report, options: UpOptions, approve: Approve | None
) -> UpResult:
    """Apply the stacks that stand, after somebody has agreed to the plan, or where nothing else changes."""
    name, stacks = session.spec.name, standing_stacks(session)
    if naming.fleet_stack(name) not in stacks:
        options = replace(options, ready_seconds=0.0)  # there are no machines to wait for
    options = replace(options, stacks=stacks)
    if approve is None:
        with session.recording_refusal(EVENT, name):
            _require_nothing_else(session)
        return _apply(session, extension, report, options)
    with kept_plans(session):
        plans = plan(session, report, keep=True, only=stacks)
        approve(session, extension, plans)
        return _apply(session, extension, report, replace(options, plans=tuple(plans)))


def _require_nothing_else(session: Session) -> None:
    """Raise UserError where the file says more than the lease differently, which nobody would see."""
    if others := other_changes(session):
        raise UserError.of(
            f"the file also changes {', '.join(each.path for each in others)}, which would be applied unseen",
            f"leave --yes out and look at the plan, or run `fleetform up {session.spec.name}` first",
            path="--yes",
        )


def _apply(session: Session, extension: Extension, report: Report, options: UpOptions) -> UpResult:
    """Apply it, on record."""
    about = {"from": str(extension.before), "to": str(extension.until), "reason": extension.reason}
    with session.ledger.act(EVENT, session.spec.name, **about):
        return up(session, report, options)
