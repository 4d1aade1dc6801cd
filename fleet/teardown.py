"""Tearing an environment down: refuse what loses something, destroy in reverse, look, write a receipt."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Sequence
from pathlib import Path

from fleet.births import find_births
from fleet.bootstrap import read_state_object
from fleet.elastic import end_elastic, end_late, forget_cluster
from fleet.errors import ActError
from fleet.estate import open_stack, prepare
from fleet.final_export import export_results
from fleet.ledger import Act
from fleet.ledger_reading import Entry
from fleet.queue_acts import queue_teller
from fleet.receipt import Fate, Receipt, StackReceipt, hourly, write_receipt
from fleet.run_control import cancel, settle_all
from fleet.run_file_systems import delete_run_file_systems
from fleet.run_store import open_runs
from fleet.session import Session
from fleet.stores import empty_buckets, find_kept
from fleet.sweep import Leftovers, Sweep, find_leftovers, sweep
from fleet.teardown_preview import Scope, find_scope, reasons_against, require_account
from fleet.terraform_events import ProgressEvent, Report
from fleet.terraform_state import StateResource, read_state
from stacks import naming
from stacks.problems import UserError

_BEFORE_BIRTH = datetime.timedelta(days=1)
"""How long before the first of its things an `up` may have begun, by whatever clocks."""


def down(session: Session, report: Report, *, base: bool, anyway: str | None = None) -> tuple[Receipt, Path]:
    """Tear the fleet down, and the base with `base`; return the receipt and the folder that it is in.

    Raises UserError with every reason against it (a run is active, outputs are not safe, a store to be
    retained holds data) unless `anyway` gives a reason to do it in spite of them; active runs are
    cancelled then. An environment that is down already is looked at again.
    """
    began = _now()
    with session.recording_refusal("environment.down", session.spec.name):
        session.require("environment.down")
        prepare(session, report)
    require_account(session)
    with session.ledger.act("environment.down", session.spec.name, base=base, anyway=anyway or "") as act:
        scope = find_scope(session, base=base)
        overridden = (
            *_clear_the_way(session, report, scope, anyway),
            *export_results(session, report, scope.goes, anyway),
        )
        act.details["overridden"] = list(overridden)
        before = sweep(session)
        if gone := delete_run_file_systems(session):
            act.details["run_file_systems"] = gone
        ended = end_elastic(session, report)
        births = find_births(_entries_since_birth(session, before), session.spec.name)
        stacks, kept = _destroy(session, report, act, before, births, base=base)
        if ended := [*ended, *end_late(session, report)]:
            act.details["elastic_nodes"] = ended
        forget_cluster(session)
        _tell(session, report, "looking at what is left")
        kept_stacks = [each.stack for each in stacks if each.fate == "kept on purpose"]
        leftovers = find_leftovers(session, kept_stacks, kept)
        receipt = _receipt(session, began, anyway or "", overridden, stacks, before, leftovers)
        folder = session.project.root / "receipts" / f"{session.spec.name}-{began:%Y%m%dT%H%M%S}"
        act.details["receipt_sha256"] = write_receipt(receipt, folder)
        act.details["left"] = [f"{thing.kind} {thing.id}" for thing in receipt.left]
        act.details["not_looked"] = [each.title for each in receipt.not_looked]
    return receipt, folder


# ------------------------------------------------------------------------------ reasons against it


def _clear_the_way(session: Session, report: Report, scope: Scope, anyway: str | None) -> tuple[str, ...]:
    """Raise UserError with the reasons against it, or cancel what is active and return the reasons."""
    store = open_runs(session)
    runs = settle_all(store, session.ledger)
    problems = reasons_against(session, store, scope, runs)
    if problems and not anyway:
        raise UserError(problems)
    for run in (run for run in runs if run.active):
        _tell(session, report, f"cancelling the run {run.run_id}")
        try:
            cancel(store, session.ledger, run.run_id, session.caller, tell=queue_teller(session))
        except ActError as error:
            _tell(session, report, f"{error}; going on, as --anyway says")
    return tuple(problem.what for problem in problems)


# ------------------------------------------------------------------------------ destroying


def _entries_since_birth(session: Session, before: Sweep) -> Iterable[Entry]:
    """Return the ledger's entries from before the oldest thing that stands; all where nobody knows its age.

    They are found by their time, so that a teardown does not read what was written in years before.
    """
    oldest = min((thing.created for thing in before.things if thing.created), default=None)
    if oldest is None or oldest > _now():  # the sandbox's clock may be ahead of that of the entries
        return session.ledger.entries()
    return session.ledger.entries_since(oldest - _BEFORE_BIRTH)


def _destroy(
    session: Session,
    report: Report,
    act: Act,
    before: Sweep,
    births: dict[str, datetime.datetime],
    *,
    base: bool,
) -> tuple[list[StackReceipt], list[StateResource]]:
    """Destroy the stacks in reverse; return what became of each, and what is kept on purpose."""
    receipts: list[StackReceipt] = []
    kept: list[StateResource] = []
    for name in reversed(naming.environment_stacks(session.spec.name)):
        resources = read_state(read_state_object(session.cloud, session.account, name))
        wanted = base or name != naming.base_stack(session.spec.name)
        if wanted and resources:
            kept += _destroy_stack(session, report, name, resources)
            act.details.setdefault("destroyed", []).append(name)
        elif resources:
            kept += resources
        fate: Fate = "was not there" if not resources else "destroyed" if wanted else "kept on purpose"
        things = [thing for thing in before.things if thing.stack == name]
        seen = min((thing.created for thing in things if thing.created), default=None)
        receipts.append(
            StackReceipt(
                stack=name,
                fate=fate,
                resources=tuple(resources),
                created=births.get(name, seen) if resources else None,
                ended=_now() if fate == "destroyed" else None,
                usd_per_hour=hourly(things),
            )
        )
    return receipts, kept


def _destroy_stack(
    session: Session, report: Report, name: str, resources: Sequence[StateResource]
) -> list[StateResource]:
    """Destroy one stack; return what was taken out of it and left standing."""
    stack, kept = open_stack(session, name, report), list[StateResource]()
    if name == naming.base_stack(session.spec.name):
        stores = find_kept(session, resources)
        kept = [each for each in resources if any(store.keeps(each) for store in stores)]
        if kept:
            stack.forget([each.address for each in kept])
        empty_buckets(session, stores)
    stack.destroy()
    return kept


# ------------------------------------------------------------------------------ the receipt


def _receipt(
    session: Session,
    began: datetime.datetime,
    anyway: str,
    overridden: tuple[str, ...],
    stacks: Sequence[StackReceipt],
    before: Sweep,
    leftovers: Leftovers,
) -> Receipt:
    return Receipt(
        environment=session.spec.name,
        cloud=session.cloud.name,
        region=session.spec.region,
        actor=session.caller,
        began=began,
        ended=_now(),
        anyway=anyway,
        overridden=overridden,
        stacks=tuple(stacks),
        machines=tuple(thing for thing in before.things if thing.usd_per_hour),
        left=leftovers.left,
        kept=leftovers.kept,
        ending=leftovers.ending,
        not_looked=leftovers.not_looked,
    )


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


def _tell(session: Session, report: Report, text: str) -> None:
    report(ProgressEvent(kind="note", stack=session.spec.name, text=text))
