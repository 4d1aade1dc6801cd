"""People and their local accounts: a login name and a password, where no provider vouches for them."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from console.people import passwords
from console.store.columns import new_id, utc_now
from console.store.people_tables import IdentityRow, MembershipRow, PasswordRow, PersonRow
from fleet.policy import ROLES, Grant, Role

LOCAL = "local"
"""The issuer of accounts with a password here."""
LONGEST_LOGIN = 64


@dataclass(frozen=True, kw_only=True)
class Person:
    """Somebody who is known to the console."""

    id: str
    name: str
    issuer: str
    subject: str
    language: str
    zone: str
    theme: str
    grants: tuple[Grant, ...]


def login_form(typed: str) -> str:
    """Return a login name in the one form in which it is kept and compared."""
    return unicodedata.normalize("NFKC", typed).strip().casefold()


def is_login(login: str) -> bool:
    """Return whether it can be a login name: 2 to 64 letters, digits and `.-_@`."""
    return 2 <= len(login) <= LONGEST_LOGIN and all(each.isalnum() or each in ".-_@" for each in login)


def create_account(
    database: Session, *, name: str, login: str, password: str, grants: Iterable[Grant], granted_by: str = ""
) -> Person:
    """Make a person with a local account; the login name must be free."""
    person = PersonRow(id=new_id(), name=name, language="", zone="", theme="")
    database.add(person)
    database.flush()
    database.add(IdentityRow(issuer=LOCAL, subject=login_form(login), person_id=person.id))
    database.add(PasswordRow(person_id=person.id, hash=passwords.hash_password(password)))
    for grant in grants:
        row = MembershipRow(person_id=person.id, team=grant.team, role=grant.role, granted_by=granted_by)
        database.add(row)
    database.flush()
    return read_person(database, person.id)


def known_by(database: Session, issuer: str, subject: str, name: str) -> Person | None:
    """Return whom an identity provider knows so, made with no role where they are new; None if kept out."""
    identity = database.get(IdentityRow, (issuer, subject))
    if identity is None:
        row = PersonRow(id=new_id(), name=name, language="", zone="", theme="")
        database.add(row)
        database.flush()
        database.add(IdentityRow(issuer=issuer, subject=subject, person_id=row.id))
    else:
        row = database.get_one(PersonRow, identity.person_id)
        row.name = name
    database.flush()
    return None if row.disabled_at is not None else read_person(database, row.id)


def read_person(database: Session, person_id: str) -> Person:
    """Return a person who is known."""
    row = database.get_one(PersonRow, person_id)
    identity = database.scalars(select(IdentityRow).where(IdentityRow.person_id == person_id)).first()
    assert identity is not None, f"the person {person_id} has no identity"
    return person_of(row, identity, read_grants(database, person_id))


def person_of(row: PersonRow, identity: IdentityRow, grants: tuple[Grant, ...]) -> Person:
    """Return the person of these rows."""
    return Person(
        id=row.id,
        name=row.name,
        issuer=identity.issuer,
        subject=identity.subject,
        language=row.language,
        zone=row.zone,
        theme=row.theme,
        grants=grants,
    )


def read_grants(database: Session, person_id: str) -> tuple[Grant, ...]:
    """Return the roles that the person has."""
    found = select(MembershipRow.role, MembershipRow.team).where(MembershipRow.person_id == person_id)
    return tuple(Grant(_role(role), team) for role, team in database.execute(found.order_by("team", "role")))


def all_grants(database: Session) -> dict[str, tuple[Grant, ...]]:
    """Return everybody's roles, by person."""
    found: dict[str, tuple[Grant, ...]] = {}
    rows = select(MembershipRow.person_id, MembershipRow.role, MembershipRow.team).order_by("team", "role")
    for person, role, team in database.execute(rows):
        found[person] = (*found.get(person, ()), Grant(_role(role), team))
    return found


def kept_password(database: Session, login: str) -> tuple[str, str] | None:
    """Return person and password hash of a local account that may sign in, None where there is none."""
    found = database.execute(
        select(PersonRow.id, PasswordRow.hash)
        .join(IdentityRow, IdentityRow.person_id == PersonRow.id)
        .join(PasswordRow, PasswordRow.person_id == PersonRow.id)
        .where(
            IdentityRow.issuer == LOCAL,
            IdentityRow.subject == login_form(login),
            PersonRow.disabled_at.is_(None),
        )
    ).one_or_none()
    return None if found is None else (found[0], found[1])


def _role(text: str) -> Role:
    return next(role for role in ROLES if role == text)


def set_password(database: Session, person_id: str, password: str) -> None:
    """Give a local account another password."""
    row = database.get_one(PasswordRow, person_id)
    row.hash, row.changed_at = passwords.hash_password(password), utc_now()


def is_free(database: Session, login: str) -> bool:
    """Return whether nobody has a local account of that login name."""
    return database.get(IdentityRow, (LOCAL, login_form(login))) is None


def is_anybody_there(database: Session) -> bool:
    """Return whether there is an account yet."""
    return database.scalar(select(PersonRow.id).limit(1)) is not None
