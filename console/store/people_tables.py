"""Tables of people: who they are, how they sign in, what they may, and who is signed in now."""

from __future__ import annotations

import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from console.store.columns import Base, new_id, utc_now

PERSON = "people.id"


class PersonRow(Base):
    """A person; never deleted, for the record names them."""

    __tablename__ = "people"

    id: Mapped[str] = mapped_column(String(16), primary_key=True, default=new_id)
    name: Mapped[str] = mapped_column(String(200))
    """As it is shown."""
    language: Mapped[str] = mapped_column(String(8), default="")
    """"" for what the browser asks for."""
    zone: Mapped[str] = mapped_column(String(64), default="")
    theme: Mapped[str] = mapped_column(String(8), default="")
    """`light`, `dark`, or "" for what the system says."""
    disabled_at: Mapped[datetime.datetime | None]
    created_at: Mapped[datetime.datetime] = mapped_column(default=utc_now)


class IdentityRow(Base):
    """How somebody is known to whoever vouches for them: the key is issuer and subject, never an address."""

    __tablename__ = "identities"

    issuer: Mapped[str] = mapped_column(String(300), primary_key=True)
    """The identity provider's URL; `local` for an account with a password here."""
    subject: Mapped[str] = mapped_column(String(255), primary_key=True)
    """Of a local account the login name, in one form (people/accounts.py)."""
    person_id: Mapped[str] = mapped_column(ForeignKey(PERSON), index=True)


class PasswordRow(Base):
    """The password of a local account, as argon2id has it."""

    __tablename__ = "passwords"

    person_id: Mapped[str] = mapped_column(ForeignKey(PERSON), primary_key=True)
    hash: Mapped[str] = mapped_column(String(300))
    changed_at: Mapped[datetime.datetime] = mapped_column(default=utc_now)


class SessionRow(Base):
    """One browser in which somebody is signed in; to delete the row is to sign it out."""

    __tablename__ = "sessions"

    token_sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    person_id: Mapped[str] = mapped_column(ForeignKey(PERSON), index=True)
    created_at: Mapped[datetime.datetime] = mapped_column(default=utc_now)
    seen_at: Mapped[datetime.datetime] = mapped_column(default=utc_now)
    ends_at: Mapped[datetime.datetime]
    """When it ends however much it is used."""
    proved_at: Mapped[datetime.datetime] = mapped_column(default=utc_now)
    """When the person last proved who they are."""
    address: Mapped[str] = mapped_column(String(64), default="")
    agent: Mapped[str] = mapped_column(String(200), default="")


class TeamRow(Base):
    """A team, by the name that environments have it under."""

    __tablename__ = "teams"

    name: Mapped[str] = mapped_column(String(40), primary_key=True)
    title: Mapped[str] = mapped_column(String(200), default="")


class MembershipRow(Base):
    """A role that somebody has in a team, or in all of them (`*`)."""

    __tablename__ = "memberships"

    person_id: Mapped[str] = mapped_column(ForeignKey(PERSON), primary_key=True)
    team: Mapped[str] = mapped_column(String(40), primary_key=True)
    role: Mapped[str] = mapped_column(String(16), primary_key=True)
    granted_by: Mapped[str] = mapped_column(String(16), default="")
    """The person who granted it, "" for the first one's."""
    granted_at: Mapped[datetime.datetime] = mapped_column(default=utc_now)


class TokenRow(Base):
    """A token that is good once: the first account's, an invitation, a way back from an identity provider."""

    __tablename__ = "tokens"

    token_sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    purpose: Mapped[str] = mapped_column(String(16), index=True)
    """`first`, `invitation` or `oidc`."""
    about: Mapped[dict[str, Any]]
    expires_at: Mapped[datetime.datetime]
    used_at: Mapped[datetime.datetime | None]


class AttemptRow(Base):
    """One attempt to sign in that failed, for as long as it counts against the next one."""

    __tablename__ = "attempts"
    __table_args__ = (Index(None, "subject_sha256", "at"), Index(None, "address", "at"))

    id: Mapped[str] = mapped_column(String(16), primary_key=True, default=new_id)
    subject_sha256: Mapped[str] = mapped_column(String(64))
    """Of the login name that was given: a mistyped one may be a password."""
    address: Mapped[str] = mapped_column(String(64))
    at: Mapped[datetime.datetime] = mapped_column(default=utc_now)
