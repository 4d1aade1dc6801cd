"""Brute force: how often one may try to sign in, for a login name and from an address."""

from __future__ import annotations

import datetime

from sqlalchemy import ColumnElement, delete, func, select
from sqlalchemy.orm import Session

from console.people.accounts import login_form
from console.people.tokens import digest
from console.store.columns import utc_now
from console.store.people_tables import AttemptRow

WINDOW = datetime.timedelta(minutes=15)
PER_ACCOUNT, PER_ADDRESS, PER_ACCOUNT_EVERYWHERE = 8, 40, 60
"""Failed attempts within the window, after which the next one is not looked at.

An account's failures from one address count against that address alone: nobody can lock another person out
from elsewhere, but for the sum over all addresses, which is larger.
"""


def is_blocked(database: Session, login: str, address: str) -> bool:
    """Return whether another attempt for that login name from that address has to wait."""
    mine, here = AttemptRow.subject_sha256 == _subject(login), AttemptRow.address == address[:64]
    return (
        _failures(database, mine & here) >= PER_ACCOUNT
        or _failures(database, here) >= PER_ADDRESS
        or _failures(database, mine) >= PER_ACCOUNT_EVERYWHERE
    )


def note_failure(database: Session, login: str, address: str) -> None:
    """Note an attempt that failed; what does not count any more goes."""
    database.execute(delete(AttemptRow).where(AttemptRow.at < utc_now() - WINDOW))
    database.add(AttemptRow(subject_sha256=_subject(login), address=address[:64]))


def forgive(database: Session, login: str, address: str) -> None:
    """Take the failures for that login name from that address away: the password was known in the end."""
    own = (AttemptRow.subject_sha256 == _subject(login)) & (AttemptRow.address == address[:64])
    database.execute(delete(AttemptRow).where(own))


def _failures(database: Session, which: ColumnElement[bool]) -> int:
    since = utc_now() - WINDOW
    found = select(func.count()).select_from(AttemptRow).where(AttemptRow.at > since, which)
    return database.scalar(found) or 0


def _subject(login: str) -> str:
    return digest(login_form(login))
