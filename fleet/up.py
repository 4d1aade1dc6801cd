"""Building an environment, or bringing it up to what its file says: account, base, fleet."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from fleet import aws
from fleet.account_changes import account_is_behind
from fleet.apply_stack import StackResult, apply_stack
from fleet.bootstrap import ensure_account, read_state_object
from fleet.budget_net import let_start_again
from fleet.elastic import end_nodes_of
from fleet.estate import open_stack, prepare
from fleet.lease import let_groups_start
from fleet.ledger import Act
from fleet.node_effects import fleet_effects, require_no_run_ended, running_nodes, targets
from fleet.plan import StackPlan
from fleet.plan_report import changed_settings, declared_resources
from fleet.ready import Readiness, wait_ready
from fleet.service_roles import ensure_service_roles
from fleet.session import Session
from fleet.standing import require_same_network
from fleet.standing_scheduler import require_same_scheduler
from fleet.standing_stores import require_same_stores, require_stores_kept
from fleet.terraform_events import ProgressEvent, Report
from fleet.terraform_run import listening
from stacks import naming

READY_SECONDS = 600.0
"""How long `up` waits for the machines: a GPU instance with a deep learning image boots in 2 to 5 minutes."""


@dataclass(frozen=True, kw_only=True)
class UpResult:
    """An environment as `up` left it."""

    stacks: tuple[StackResult, ...]
    made_buckets: tuple[str, ...]
    """And policies: what must be there before Terraform runs."""
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
    plans: tuple[StackPlan, ...] = ()
    """What the user has just approved: each stack's plan is applied as it was shown, an empty one not at all.
    Once a stack has changed, the plans of those after it are out of date, and they are planned anew."""
    anyway: str = ""
    """Why nodes may be ended even while a run is on them, and stores destroyed; "" where they may not."""
    stacks: tuple[str, ...] = ()
    """Only these of the environment's stacks; both where none is named."""


def up(session: Session, report: Report, options: UpOptions | None = None) -> UpResult:
    """Build the environment. Raises UserError, TerraformError or LedgerError; the ledger tells how it ended.

    The account's stack is applied only where it does not stand yet. What could not be finished is in the
    state, and the next `up` goes on from there.
    """
    chosen = options or UpOptions()
    begin = time.monotonic()
    with session.recording_refusal("environment.up", session.spec.name):
        session.require("environment.up")
        # Approved plans were made behind the same questions; what stands may stay whatever a preflight says.
        prepare(session, report, building=not (chosen.plans or chosen.stacks))
        require_same_network(session)
        require_same_stores(session)
        require_same_scheduler(session)
        overridden = (*require_stores_kept(session, chosen.anyway), *_spare_runs(session, chosen.anyway))
        made = ensure_account(session.cloud, session.account)
        ensure_service_roles(session, report)
    for bucket in made:
        report(ProgressEvent(kind="note", stack=naming.ACCOUNT_STACK, text=f"made {bucket}"))
    about: dict[str, object] = {"cloud": session.cloud.name, "made_buckets": made}
    if chosen.anyway:
        about |= {"anyway": chosen.anyway, "overridden": list(overridden)}
    with session.ledger.act("environment.up", session.spec.name, **about) as act:
        results = _apply_all(session, report, act, chosen)
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


def _spare_runs(session: Session, anyway: str) -> tuple[str, ...]:
    """Raise UserError where the fleet would shrink under a run, unless `anyway`; return what is overridden.

    Told from the number of nodes that run now, which somebody may have changed since a plan was shown.
    """
    declared = targets(declared_resources(session, naming.fleet_stack(session.spec.name)))
    effects = fleet_effects(running_nodes(session), declared, changed_settings(session))
    return require_no_run_ended(effects, anyway)


def _apply_all(session: Session, report: Report, act: Act, options: UpOptions) -> list[StackResult]:
    """Apply the base, then the fleet, and beside them the account's stack, on which neither depends."""
    plans = {each.stack: each for each in options.plans}
    base, fleet = naming.environment_stacks(session.spec.name)

    base_begun = threading.Event()

    def watched(event: ProgressEvent) -> None:
        report(event)
        if event.stack == base and event.kind == "started":
            base_begun.set()

    def apply(name: str, *, as_planned: bool = True) -> StackResult | None:
        plan = plans.get(name) if as_planned else None
        if (plan and plan.empty) or not (plan or _wanted(session, name, options)):
            if name == naming.ACCOUNT_STACK and not plan and (behind := account_is_behind(session)):
                report(ProgressEvent(kind="note", stack=name, text=behind))
            return None
        return apply_stack(session, act, name, watched, plan.file if plan else None)

    def initialize() -> None:
        """Prepare the fleet's folder once the base waits for the cloud; earlier, both would want the CPU."""
        base_begun.wait()
        open_stack(session, fleet, report).init()

    with listening(), ThreadPoolExecutor(max_workers=1) as pool:
        initialized = pool.submit(initialize)
        account = pool.submit(apply, naming.ACCOUNT_STACK)
        try:
            based = apply(base)
        finally:
            base_begun.set()
        initialized.result()
        _let_machines_start(session, report, act, rebuilt=bool(based and not based.changes.empty))
        _end_taken_out(session, report, act, options)
        fleeted = apply(fleet, as_planned=based is None or based.changes.empty)
        results = (account.result(), based, fleeted)
    return [result for result in results if result is not None]


def _let_machines_start(session: Session, report: Report, act: Act, *, rebuilt: bool) -> None:
    """Let machines be started that the lease or AWS Budgets held back; `rebuilt`: the base has changed.

    Where it has not, a month that has begun since may still give a reason; who may not look builds on.
    """
    base, fleet = naming.environment_stacks(session.spec.name)
    try:
        if done := let_start_again(session):
            act.details["budget"] = done
    except Exception as error:
        if rebuilt or not aws.is_cloud_error(error):
            raise
        why = str(error).splitlines()[0]
        done = f"whether AWS Budgets keeps machines from being started can't be told: {why}"
    if done:
        report(ProgressEvent(kind="note", stack=base, text=done))
    if freed := let_groups_start(session):
        text = f"the lease goes on: {', '.join(freed)} may start machines again"
        report(ProgressEvent(kind="note", stack=fleet, text=text))


def _end_taken_out(session: Session, report: Report, act: Act, options: UpOptions) -> None:
    """End the idle nodes of the queue of fleets that the file has no more; runs on them were asked about."""
    if not _wanted(session, naming.fleet_stack(session.spec.name), options):
        return
    gone = {
        each.path.removeprefix("fleets.")
        for each in changed_settings(session)
        if each.whole_table and each.new is None and each.path.startswith("fleets.")
    }
    if gone and (ended := end_nodes_of(session, gone, report)):
        act.details["elastic_nodes"] = ended


def _wanted(session: Session, stack: str, options: UpOptions) -> bool:
    if stack != naming.ACCOUNT_STACK:
        return not options.stacks or stack in options.stacks
    return options.account or not read_state_object(session.cloud, session.account, stack)
