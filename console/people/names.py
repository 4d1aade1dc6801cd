"""What people are called, whom the record knows by their ids."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from sqlalchemy import select
from sqlalchemy.orm import Session

from console.store.people_tables import IdentityRow, PersonRow


def names_of(database: Session, ids: Iterable[str]) -> dict[str, str]:
    """Return the names of those of the ids that are people's."""
    wanted = set(ids)
    found = select(PersonRow.id, PersonRow.name).where(PersonRow.id.in_(wanted))
    return {row[0]: row[1] for row in database.execute(found)} if wanted else {}


def identity_of(database: Session, person_id: str) -> dict[str, str]:
    """Return name, issuer and subject of a person; nothing for an id that is nobody's."""
    found = (
        select(PersonRow.name, IdentityRow.issuer, IdentityRow.subject)
        .join(IdentityRow, IdentityRow.person_id == PersonRow.id)
        .where(PersonRow.id == person_id)
        .limit(1)
    )
    row = database.execute(found).first()
    return {"name": row[0], "issuer": row[1], "subject": row[2]} if row else {}


def find_ids(database: Session, typed: str) -> list[str]:
    """Return the ids of people of that name, or who sign in by it."""
    subject = unicodedata.normalize("NFKC", typed).strip().casefold()
    by_name = select(PersonRow.id).where(PersonRow.name == typed.strip())
    by_subject = select(IdentityRow.person_id).where(IdentityRow.subject.in_({typed.strip(), subject}))
    found = [*database.scalars(by_name.limit(20)), *database.scalars(by_subject.limit(20))]
    return list(dict.fromkeys(found))
