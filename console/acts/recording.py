"""What auditors ask for: to verify the whole record, and to make an evidence pack of it."""

from __future__ import annotations

import datetime
from dataclasses import replace
from pathlib import Path
from typing import Any

from console.acts.folder import Task
from console.acts.spec import PACK_FILE, Export, Verify
from fleet.evidence import write_pack
from fleet.session import AccountSession, open_account, open_session
from fleet.terraform_events import ProgressEvent, Report
from fleet.verification import verify_record
from stacks.environment import environment_files

_LEDGER = "ledger"
_DAY = datetime.timedelta(days=1)


def perform(task: Task, act: Verify | Export, report: Report, folder: Path) -> dict[str, Any]:
    """Carry one of them out; `folder` is the act's own."""
    if isinstance(act, Verify):
        return _verify(task, act, report)
    return _export(task, act, report, folder)


def _account(task: Task) -> AccountSession:
    """Open the account in the name of who asked."""
    return replace(open_account(task.cloud, project=task.project), asked_by=task.asked_by)


def _verify(task: Task, act: Verify, report: Report) -> dict[str, Any]:
    """Verify the record, which its own entry tells; what was found is for the page to say."""
    account = _account(task)

    def tell(done: int, total: int) -> None:
        text = f"{done} of {total} entries"
        report(ProgressEvent(kind="done", stack=_LEDGER, text=text, done=done, total=max(total, 1)))

    found = verify_record(account, act.days, tell)
    return {"sound": found.sound, **found.to_dict()}


def _export(task: Task, act: Export, report: Report, folder: Path) -> dict[str, Any]:
    """Write the pack into the act's folder; its days are whole ones, but for one that is not over."""
    account = _account(task)
    names = [act.scope] if act.scope else [
        each.stem for each in environment_files(task.project.environments)
    ]  # fmt: skip
    sessions = [
        open_session(name, task.cloud, project=task.project, asked_by=task.asked_by) for name in names
    ]
    begin = datetime.datetime.combine(act.since, datetime.time(), datetime.UTC)
    end = datetime.datetime.combine(act.until, datetime.time(), datetime.UTC) + _DAY
    period = (begin, min(end, max(datetime.datetime.now(datetime.UTC), begin + _DAY)))

    def tell(text: str) -> None:
        report(ProgressEvent(kind="note", stack=_LEDGER, text=text))

    done = write_pack(account, sessions, period, folder / PACK_FILE, name=act.scope, tell=tell)
    return {"sha256": done.sha256, "entries": done.entries, "head": done.head, "missing": list(done.troubles)}
