"""Puts on record, in the account's ledger, what people do in the console and how it ended."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal

from console.people.accounts import Person
from console.store import waiting
from console.store.database import Database, Session
from console.store.work_tables import WaitingEntryRow
from fleet import aws
from fleet.ledger import Ledger, LedgerError
from fleet.project import Project
from fleet.session import AccountSession, open_account
from stacks.account import ACCOUNT_FILE

Outcome = Literal["succeeded", "failed", "refused", "recorded"]


class Recorder:
    """The account's ledger, to which the console adds in people's names.

    What happens before the account stands (the first sign-in comes before the first environment) waits in the
    database and goes to the ledger before anything else does, with the time at which it was.
    """

    def __init__(self, project: Project, cloud: str | None, database: Database) -> None:
        """Contact nothing yet."""
        self._project, self._cloud, self._database = project, cloud, database
        self._lock = threading.Lock()
        self._account: AccountSession | None = None

    def record(
        self,
        who: Mapping[str, str],
        event: str,
        target: str,
        outcome: Outcome,
        details: Mapping[str, Any] | None = None,
        *,
        within: Session | None = None,
    ) -> None:
        """Put it on record. Raises LedgerError or UserError where that can't be: then it must not happen.

        `within` a transaction of the caller's that writes, where what is recorded is done in it.
        """
        row = WaitingEntryRow(
            event=event, target=target[:200], outcome=outcome, asked_by=dict(who), about=dict(details or {})
        )
        with self._lock:
            try:
                ledger = self._ledger()
                sent = ledger is not None and self._send(ledger, row, within)
            except Exception:
                self._account = None  # the cloud may be another one by the next time: a sandbox started anew
                raise
            if not sent:
                with self._writing(within) as database:
                    database.add(row)

    def _writing(self, within: Session | None) -> AbstractContextManager[Session]:
        return nullcontext(within) if within else self._database.writing()

    def _ledger(self) -> Ledger | None:
        """Return the ledger, None where the project has no account yet."""
        if self._account is None:
            if not (self._project.environments / ACCOUNT_FILE).is_file():
                return None
            self._account = open_account(self._cloud, project=self._project)
        return self._account.ledger

    def _send(self, ledger: Ledger, row: WaitingEntryRow, within: Session | None) -> bool:
        """Append what waits, then this; return False where there is no ledger to append to yet."""
        with self._database.reading() as database:
            waits = waiting.oldest(database) is not None
        while waits:
            with self._writing(within) as database:  # of several consoles one sends it
                each = waiting.oldest(database)
                waits = each is not None
                if each is not None:
                    late = {**each.about, "happened": each.at.isoformat(timespec="milliseconds")}
                    if not _append(ledger, each, late):
                        return False
                    waiting.forget(database, each)
        return _append(ledger, row, row.about)


def asked_by(person: Person, address: str) -> dict[str, str]:
    """Return who somebody is, as an entry of the ledger says it."""
    return {
        "via": "console",
        "id": person.id,
        "name": person.name,
        "issuer": person.issuer,
        "subject": person.subject,
        "address": address,
    }


def nobody(address: str) -> dict[str, str]:
    """Return what is known of somebody who is not signed in."""
    return {"via": "console", "address": address}


def _append(ledger: Ledger, row: WaitingEntryRow, about: Mapping[str, Any]) -> bool:
    try:
        ledger.asked_by(row.asked_by).append(row.event, row.target, row.outcome, about)
    except LedgerError as error:
        cause = error.__cause__
        if isinstance(cause, Exception) and aws.error_code(cause) == "NoSuchBucket":
            return False
        raise
    return True
