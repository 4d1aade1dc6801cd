"""Tearing an environment down: refuse what loses something, destroy in reverse, look, write a receipt.

It may be killed at any point: a plain repeat goes on where it was, and ends with the same receipt
(docs/teardown.md).
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from pathlib import Path

from fleet.elastic import end_elastic, end_late, forget_cluster
from fleet.errors import ActError
from fleet.estate import prepare
from fleet.final_export import export_results
from fleet.queue_acts import queue_teller
from fleet.receipt import Receipt, StackReceipt, write_receipt
from fleet.run_control import cancel, settle_all
from fleet.run_file_systems import delete_run_file_systems
from fleet.run_store import RunStore, open_runs
from fleet.runs import RunStatus
from fleet.session import Session
from fleet.sweep import Leftovers
from fleet.teardown_before import look_before, put_on_record
from fleet.teardown_copies import with_copies
from fleet.teardown_found import Found
from fleet.teardown_preview import find_scope, reasons_against, require_account
from fleet.teardown_rest import find_rest
from fleet.teardown_stacks import destroy_stacks
from fleet.terraform_events import ProgressEvent, Report
from stacks.problems import Problem, UserError


def down(session: Session, report: Report, *, base: bool, anyway: str | None = None) -> tuple[Receipt, Path]:
    """Tear the fleet down, and the base with `base`; return the receipt and the folder that it is in.

    Raises UserError with every reason against it (a run is active, outputs are not safe, a store to be
    retained holds data) unless `anyway` gives a reason to do it in spite of them; active runs are
    cancelled then. Goes on where an earlier attempt was killed; an environment that is down already is looked
    at again. Raises HeldError (ActError) where something keeps a stack that is not ours to clear.
    """
    began = _now()
    with session.recording_refusal("environment.down", session.spec.name):
        session.require("environment.down")
        prepare(session, report)
    require_account(session)
    with session.ledger.act("environment.down", session.spec.name, base=base, anyway=anyway or "") as act:
        scope, store = find_scope(session, base=base), open_runs(session)
        runs = settle_all(store, session.ledger)
        against = reasons_against(session, store, scope, runs)
        _require_reason(against, anyway)
        found = look_before(session, scope, began, anyway or "", against)
        _cancel_active(session, report, store, runs)
        if given_up := export_results(session, report, scope.goes, anyway):
            found = put_on_record(session, found, found.but_for(given_up))
        act.details["overridden"] = list(found.overridden)
        if gone := delete_run_file_systems(session):
            act.details["run_file_systems"] = gone
        ended = end_elastic(session, report)
        stacks = destroy_stacks(session, report, act, found, base=base)
        if ended := [*ended, *end_late(session, report)]:
            act.details["elastic_nodes"] = ended
        forget_cluster(session)
        _tell(session, report, "looking at what is left")
        leftovers = with_copies(session, found, find_rest(session, report, act, stacks, found))
        receipt = _receipt(session, found, stacks, leftovers)
        folder = session.project.root / "receipts" / f"{session.spec.name}-{found.began:%Y%m%dT%H%M%S}"
        act.details["receipt_sha256"] = write_receipt(receipt, folder)
        act.details["left"] = [f"{thing.kind} {thing.id}" for thing in receipt.left]
        act.details["not_looked"] = [each.title for each in receipt.not_looked]
    return receipt, folder


def _require_reason(against: Sequence[Problem], anyway: str | None) -> None:
    """Raise UserError with the reasons against it, unless there is one for it."""
    if against and not anyway:
        raise UserError(list(against))


def _cancel_active(session: Session, report: Report, store: RunStore, runs: Sequence[RunStatus]) -> None:
    """Cancel the runs that are active: that was said to be wanted."""
    for run in (run for run in runs if run.active):
        _tell(session, report, f"cancelling the run {run.run_id}")
        try:
            cancel(store, session.ledger, run.run_id, session.caller, tell=queue_teller(session))
        except ActError as error:
            _tell(session, report, f"{error}; going on, as --anyway says")


def _receipt(session: Session, found: Found, stacks: Sequence[StackReceipt], leftovers: Leftovers) -> Receipt:
    return Receipt(
        environment=session.spec.name,
        cloud=session.cloud.name,
        region=session.spec.region,
        actor=session.caller,
        began=found.began,
        ended=_now(),
        anyway=found.anyway,
        overridden=found.overridden,
        stacks=tuple(stacks),
        machines=found.priced,
        left=leftovers.left,
        kept=leftovers.kept,
        ending=leftovers.ending,
        not_looked=leftovers.not_looked,
    )


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


def _tell(session: Session, report: Report, text: str) -> None:
    report(ProgressEvent(kind="note", stack=session.spec.name, text=text))
