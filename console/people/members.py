"""Members of teams: who has which role, and changing that; each change is one transaction of the caller's."""

from __future__ import annotations

import datetime
from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from console.people import sessions, tokens
from console.people.accounts import Person, all_grants, person_of, read_person
from console.store.columns import utc_now
from console.store.people_tables import IdentityRow, MembershipRow, PersonRow
from fleet.policy import EVERY_TEAM, ROLES, Grant, Role

INVITATION_DAYS = 7


@dataclass(frozen=True)
class Member:
    """Somebody as the administrators of teams see them."""

    person: Person
    disabled: bool


def role_of(text: str) -> Role:
    """Return the role of that name; there must be one."""
    return next(role for role in ROLES if role == text)


def read_members(database: Session, teams: Collection[str]) -> list[Member]:
    """Return everybody who has a role in one of the teams; all people where `*` is among them."""
    wanted = select(PersonRow, IdentityRow).join(IdentityRow, IdentityRow.person_id == PersonRow.id)
    if EVERY_TEAM not in teams:
        in_them = select(MembershipRow.person_id).where(MembershipRow.team.in_(teams))
        wanted = wanted.where(PersonRow.id.in_(in_them))
    grants, found = all_grants(database), dict[str, Member]()
    for row, identity in database.execute(wanted.order_by(PersonRow.name, PersonRow.id)):
        person = person_of(row, identity, grants.get(row.id, ()))
        found.setdefault(row.id, Member(person, row.disabled_at is not None))
    return list(found.values())


def find_member(database: Session, person_id: str, teams: Collection[str]) -> Member | None:
    """Return the person, None where there is none whom an administrator of these teams may see."""
    row = database.get(PersonRow, person_id)
    found = None if row is None else _member(database, row)
    seen = {EVERY_TEAM} | ({grant.team for grant in found.person.grants} if found else set())
    return found if seen & set(teams) else None


def _member(database: Session, row: PersonRow) -> Member:
    return Member(read_person(database, row.id), row.disabled_at is not None)


def invite(database: Session, grant: Grant, by: str) -> str:
    """Return a token with which somebody makes their account, with that role."""
    about = {"role": grant.role, "team": grant.team, "by": by}
    return tokens.issue(database, "invitation", about, datetime.timedelta(days=INVITATION_DAYS))


def add_grant(database: Session, person_id: str, grant: Grant, by: str) -> bool:
    """Give the person a role; return False where they have it."""
    key = (person_id, grant.team, grant.role)
    if database.get(MembershipRow, key) is not None:
        return False
    database.add(MembershipRow(person_id=person_id, team=grant.team, role=grant.role, granted_by=by))
    return True


def take_grant(database: Session, person_id: str, grant: Grant) -> bool:
    """Take a role from the person; return False where they did not have it."""
    row = database.get(MembershipRow, (person_id, grant.team, grant.role))
    if row is None:
        return False
    database.delete(row)
    return True


def set_disabled(database: Session, person_id: str, *, disabled: bool) -> None:
    """Keep somebody out, at once and everywhere, or let them in again."""
    row = database.get_one(PersonRow, person_id)
    row.disabled_at = utc_now() if disabled else None
    if disabled:
        sessions.end_all(database, person_id)


def is_last_admin(database: Session, person_id: str) -> bool:
    """Return whether nobody else who may sign in manages the people of every team."""
    others = (
        select(MembershipRow.person_id)
        .join(PersonRow, PersonRow.id == MembershipRow.person_id)
        .where(
            MembershipRow.role == "admin",
            MembershipRow.team == EVERY_TEAM,
            MembershipRow.person_id != person_id,
            PersonRow.disabled_at.is_(None),
        )
    )
    return database.scalar(others.limit(1)) is None
