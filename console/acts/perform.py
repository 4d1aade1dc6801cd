"""What each act does, by the same functions as the commands; it returns what its page shows at the end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from console.acts import recording, sweeping
from console.acts.folder import Task
from console.acts.launching import in_name, launch
from console.acts.spec import Check, Down, Export, Extend, Resume, Stop, Sweep, Up, Verify, verb_of
from fleet.environment import read_outputs
from fleet.extension import extend
from fleet.queue_acts import queue_teller
from fleet.resume import resume
from fleet.run_control import cancel, settle
from fleet.run_store import open_runs
from fleet.runs import RunStatus
from fleet.session import Session, open_session
from fleet.teardown import down
from fleet.terraform_events import ProgressEvent, Report
from fleet.up import up


def perform(task: Task, report: Report, folder: Path) -> dict[str, Any]:
    """Carry the act out; raises what `fleet/` does: UserError for a refusal, ActError for a failure.

    `folder` is the act's own, for what it makes.
    """
    act = task.act
    match act:
        case Up():
            return _up(in_name(_open(task, "environment.up"), verb_of(act)), report)
        case Down():
            session = in_name(_open(task), verb_of(act))
            receipt, receipts = down(session, report, base=act.base, anyway=act.anyway or None)
            return {"receipt": receipts.name, "proven": receipt.proven, "verdict": receipt.verdict}
        case Extend():
            return _extend(in_name(_open(task), verb_of(act)), act, report)
        case Stop():
            return _stop(in_name(_open(task), verb_of(act)), act.run, report)
        case Resume():
            session = in_name(_open(task, "run.submit"), verb_of(act))
            assert session.caller, "the cloud has answered"
            outputs = read_outputs(session)
            resume(session, outputs, act.run)
            return {"run": act.run}
        case Check():
            # Here and not above: it reads the console's settings, which no other act does.
            from console.uploads.check import check_upload

            return check_upload(task.project, act.upload)
        case Verify() | Export():
            return recording.perform(task, act, report, folder)
        case Sweep():
            return sweeping.sweep(task, act, report)
    return launch(_open(task, "run.submit"), act, report)


def _open(task: Task, event: str = "") -> Session:
    """Open the environment in the name of who asked; a refusal of what builds or trains is on record."""
    return open_session(
        task.act.environment, task.cloud, act=event, project=task.project, asked_by=task.asked_by
    )


def _up(session: Session, report: Report) -> dict[str, Any]:
    result = up(session, report)
    ready = result.readiness
    stacks = {each.stack: str(each.changes) for each in result.stacks}
    return {"stacks": stacks, "ready": str(ready), "complete": ready is not None and ready.complete}


def _extend(session: Session, act: Extend, report: Report) -> dict[str, Any]:
    """Put the end off; what a failure has left is told as well."""

    def note(text: str) -> None:
        report(ProgressEvent(kind="note", stack=act.environment, text=text))

    extended = extend(session, act.until, act.reason, report, tell=note)
    ready = extended.result.readiness
    return {
        "until": act.until.isoformat(),
        "before": extended.extension.before.isoformat(),
        "ready": str(ready),
    }


def _stop(session: Session, run_id: str, report: Report) -> dict[str, Any]:
    """End the run and wait until it has ended."""
    store, told = open_runs(session), {""}

    def wait(run: RunStatus) -> None:
        if run.state not in told:
            told.add(run.state)
            text = f"{run.state}, waiting for its end"
            report(ProgressEvent(kind="note", stack=session.spec.name, text=text))

    ended = cancel(store, session.ledger, run_id, session.actor, tell=queue_teller(session), on_wait=wait)
    settle(store, session.ledger, ended)
    return {"run": ended.run_id, "state": ended.state}
