"""Who is signed in: rows that can be ended at once, found by the digest of what the browser holds."""

from __future__ import annotations

import datetime
from dataclasses import dataclass

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from console.people.accounts import Person, read_person
from console.people.tokens import digest, new_secret
from console.store.columns import utc_now
from console.store.people_tables import PersonRow, SessionRow

SEEN_EVERY = datetime.timedelta(minutes=1)
"""How exactly the last use is noted: a row that was written a minute ago is not written again."""


@dataclass(frozen=True)
class Limits:
    """How long somebody stays signed in (OWASP ASVS 5.0, 7.3)."""

    idle: datetime.timedelta = datetime.timedelta(minutes=30)
    longest: datetime.timedelta = datetime.timedelta(hours=12)
    fresh: datetime.timedelta = datetime.timedelta(minutes=5)
    """How long a proof of who one is holds for what destroys or exports."""


@dataclass(frozen=True)
class SignedIn:
    """A session that is good."""

    person: Person
    secret: str
    """What the browser holds."""
    proved_at: datetime.datetime
    seen_at: datetime.datetime
    """When it was last noted as used."""
    ends_at: datetime.datetime
    """When it ends, however much it is used."""

    def over_at(self, limits: Limits) -> datetime.datetime:
        """Return when it ends where it is not used any more."""
        return min(self.ends_at, self.seen_at + limits.idle)


def begin(database: Session, person_id: str, limits: Limits, *, address: str, agent: str) -> str:
    """Sign somebody in and return what their browser is to hold."""
    secret, now = new_secret(), utc_now()
    row = SessionRow(
        token_sha256=digest(secret),
        person_id=person_id,
        created_at=now,
        seen_at=now,
        proved_at=now,
        ends_at=now + limits.longest,
        address=address[:64],
        agent=agent[:200],
    )
    database.add(row)
    return secret


def find(database: Session, secret: str, limits: Limits) -> SignedIn | None:
    """Return the session, None where it was ended, is over, or its person may not sign in any more."""
    now = utc_now()
    row = database.execute(
        select(SessionRow)
        .join(PersonRow, PersonRow.id == SessionRow.person_id)
        .where(
            SessionRow.token_sha256 == digest(secret),
            SessionRow.ends_at > now,
            SessionRow.seen_at > now - limits.idle,
            PersonRow.disabled_at.is_(None),
        )
    ).scalar_one_or_none()
    if row is None:
        return None
    return SignedIn(read_person(database, row.person_id), secret, row.proved_at, row.seen_at, row.ends_at)


def note_use(database: Session, secret: str) -> None:
    """Note that the session was used just now."""
    now = utc_now()
    used = update(SessionRow).where(
        SessionRow.token_sha256 == digest(secret), SessionRow.seen_at < now - SEEN_EVERY
    )
    database.execute(used.values(seen_at=now))


def end(database: Session, secret: str) -> None:
    """Sign a browser out."""
    database.execute(delete(SessionRow).where(SessionRow.token_sha256 == digest(secret)))


def end_all(database: Session, person_id: str, *, but: str = "") -> int:
    """Sign a person out everywhere, or everywhere but here; return how many sessions that ended."""
    doomed = delete(SessionRow).where(
        SessionRow.person_id == person_id, SessionRow.token_sha256 != digest(but)
    )
    return len(database.execute(doomed.returning(SessionRow.token_sha256)).all())


@dataclass(frozen=True)
class OpenSession:
    """One browser in which a person is signed in, as they see it themselves."""

    agent: str
    address: str
    created_at: datetime.datetime
    seen_at: datetime.datetime
    here: bool
    """Whether it is the one that asks."""


def open_sessions(database: Session, person_id: str, secret: str, limits: Limits) -> list[OpenSession]:
    """Return the person's sessions that are good, the latest used first; `secret` is that of who asks."""
    now = utc_now()
    rows = database.scalars(
        select(SessionRow)
        .where(
            SessionRow.person_id == person_id,
            SessionRow.ends_at > now,
            SessionRow.seen_at > now - limits.idle,
        )
        .order_by(SessionRow.seen_at.desc())
    )
    return [
        OpenSession(row.agent, row.address, row.created_at, row.seen_at, row.token_sha256 == digest(secret))
        for row in rows
    ]


def forget_over(database: Session) -> None:
    """Delete the sessions that are over."""
    database.execute(delete(SessionRow).where(SessionRow.ends_at < utc_now()))
