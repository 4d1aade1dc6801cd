"""Building an environment, or bringing it up to what its file says: account, base, fleet."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from fleet.adopt import find_adoptable
from fleet.bootstrap import ensure_account, state_exists
from fleet.estate import open_stack, stack_names, wait_for_running
from fleet.ledger import Act
from fleet.ready import Readiness, wait_ready
from fleet.session import Session
from fleet.synth import synthesize
from fleet.terraform import Stack
from fleet.terraform_events import Changes, ProgressEvent, Report, TerraformError
from stacks import naming

READY_SECONDS = 600.0
"""How long `up` waits for the machines: a GPU instance with a deep learning image boots in 2 to 5 minutes."""


@dataclass(frozen=True, kw_only=True)
class StackResult:
    """What was done to one stack."""

    stack: str
    changes: Changes
    seconds: float
    resources: int
    """How many resources the stack holds now."""


@dataclass(frozen=True, kw_only=True)
class UpResult:
    """An environment as `up` left it."""

    stacks: tuple[StackResult, ...]
    made_buckets: tuple[str, ...]
    readiness: Readiness | None
    """How many machines answer; None where nobody waited."""
    seconds: float


@dataclass(frozen=True, kw_only=True)
class UpOptions:
    """How to build."""

    account: bool = False
    """Apply the account's stack even where it stands."""
    ready_seconds: float = READY_SECONDS
    """How long to wait for the machines; 0 for not at all."""
    skipped: frozenset[str] = field(default_factory=frozenset)
    """Stacks that a plan has just found to need nothing."""


def up(session: Session, report: Report, options: UpOptions | None = None) -> UpResult:
    """Build the environment. Raises UserError, TerraformError or LedgerError; the ledger tells how it ended.

    The account's stack is applied only where it does not stand yet. What could not be finished is in the state, and the
    next `up` goes on from there.
    """
    chosen = options or UpOptions()
    begin = time.monotonic()
    assert session.caller, "the cloud answers before anything is written"
    wait_for_running(session, report)
    synthesize(session)
    made = ensure_account(session.cloud, session.account)
    for bucket in made:
        report(ProgressEvent(kind="note", stack=naming.ACCOUNT_STACK, text=f"made the bucket {bucket}"))
    with session.ledger.act("environment.up", session.spec.name, cloud=session.cloud.name) as act:
        results = [
            _apply(session, act, open_stack(session, name, report))
            for name in stack_names(session)
            if name not in chosen.skipped and _wanted(session, name, chosen)
        ]
        readiness = (
            wait_ready(session, report, timeout_s=chosen.ready_seconds) if chosen.ready_seconds else None
        )
        act.details["ready"] = str(readiness) if readiness else "not waited for"
    return UpResult(
        stacks=tuple(results),
        made_buckets=tuple(made),
        readiness=readiness,
        seconds=time.monotonic() - begin,
    )


def _wanted(session: Session, stack: str, options: UpOptions) -> bool:
    if stack != naming.ACCOUNT_STACK or options.account:
        return True
    return not state_exists(session.cloud, session.account, stack)


def _apply(session: Session, act: Act, stack: Stack) -> StackResult:
    """Apply one stack, once more with what was adopted if an earlier, killed apply had made it."""
    begin = time.monotonic()
    try:
        changes = stack.apply()
    except TerraformError as error:
        adopted = find_adoptable(
            error.diagnostics, session.cloud, session.spec.region, stack.name, died=stack.died
        )
        if not adopted:
            raise
        what = ", ".join(address for address, _ in adopted)
        report = ProgressEvent(
            kind="note", stack=stack.name, text=f"{stack.name}: taking over {what}, then again"
        )
        stack.report(report)
        act.details.setdefault("adopted", []).extend(f"{address} = {name}" for address, name in adopted)
        changes = stack.apply_adopting(adopted)
    seconds = time.monotonic() - begin
    resources = len(stack.resources())
    act.details.setdefault("stacks", {})[stack.name] = {
        "changes": str(changes),
        "resources": resources,
        "seconds": round(seconds, 1),
    }
    return StackResult(stack=stack.name, changes=changes, seconds=seconds, resources=resources)
