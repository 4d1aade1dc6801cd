"""Applying one stack: with what a killed apply had made taken over, and what was done kept for evidence."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from pathlib import Path

from fleet.adopt import find_adoptable, find_before
from fleet.bootstrap import read_state_object
from fleet.estate import open_stack
from fleet.ledger import Act
from fleet.plan_record import Applied, keep_plan
from fleet.session import Session
from fleet.terraform import CONFIGURATION, Stack
from fleet.terraform_events import Changes, ProgressEvent, Report, TerraformError
from fleet.terraform_state import read_state
from stacks import naming


@dataclass(frozen=True, kw_only=True)
class StackResult:
    """What was done to one stack."""

    stack: str
    changes: Changes
    seconds: float
    resources: int
    """How many resources the stack holds now."""


def apply_stack(session: Session, act: Act, name: str, report: Report, plan: Path | None) -> StackResult:
    """Apply one stack and return what was done."""
    begin, applied = time.monotonic(), Applied(report)
    stack = open_stack(session, name, applied)
    try:
        changes = _apply_adopting(session, act, stack, plan)
    finally:
        if plan:
            plan.unlink(missing_ok=True)
    seconds = time.monotonic() - begin
    resources = len(read_state(read_state_object(session.cloud, session.account, stack.name)))
    configuration = (stack.folder / CONFIGURATION).read_bytes()
    act.details.setdefault("stacks", {})[stack.name] = {
        "changes": str(changes),
        "resources": resources,
        "seconds": round(seconds, 1),
        "configuration_sha256": hashlib.sha256(configuration).hexdigest(),
        **_keep_plan(session, stack, configuration, applied),
    }
    return StackResult(stack=stack.name, changes=changes, seconds=seconds, resources=resources)


def _keep_plan(session: Session, stack: Stack, configuration: bytes, applied: Applied) -> dict[str, str]:
    """Keep what was done for an evidence pack; return its digest, or why it is not kept."""
    try:
        digest = keep_plan(session.project.root, session.spec.name, stack.name, configuration, applied.events)
    except OSError as error:  # the stack stands all the same
        stack.report(ProgressEvent(kind="note", stack=stack.name, text=f"what was done is not kept: {error}"))
        return {"plan_not_kept": str(error)}
    return {"plan_sha256": digest}


def _apply_adopting(session: Session, act: Act, stack: Stack, plan: Path | None) -> Changes:
    """Apply, again as long as that fails on what an earlier, killed apply had made and can be taken over.

    What depends on a thing that was taken over is met one round later, so one round may not be enough.
    """
    region, adopted = _region_of(session, stack.name), list[tuple[str, str]]()
    new = _made_before(session, stack, region, adopted)
    while True:
        if new:
            what = ", ".join(address for address, _ in new)
            text = f"{stack.name}: taking over what an earlier, killed apply had made: {what}"
            stack.report(ProgressEvent(kind="note", stack=stack.name, text=text))
            act.details.setdefault("adopted", []).extend(f"{address} = {name}" for address, name in new)
            adopted += new
        try:
            return stack.apply_adopting(adopted) if adopted else stack.apply(plan)
        except TerraformError as error:
            found = find_adoptable(error.diagnostics, session.cloud, region, stack.name, died=stack.died)
            new = [each for each in found if each not in adopted]
            new += _made_before(session, stack, region, [*adopted, *new])
            if not new:
                raise


def _made_before(
    session: Session, stack: Stack, region: str, adopted: list[tuple[str, str]]
) -> list[tuple[str, str]]:
    """Return what a killed apply had made beyond `adopted`, where no refusal leads to it."""
    if not stack.died:
        return []
    state = read_state(read_state_object(session.cloud, session.account, stack.name))
    known = {**{each.address: each.id for each in state}, **dict(adopted)}
    return find_before(stack.configuration(), known, session.cloud, region, stack.name)


def _region_of(session: Session, stack: str) -> str:
    return session.account.region if stack == naming.ACCOUNT_STACK else session.spec.region
