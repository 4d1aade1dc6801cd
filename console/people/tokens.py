"""Tokens that are good once, and secrets that are kept as their digest alone."""

from __future__ import annotations

import datetime
import hashlib
import secrets
from typing import Any, Literal

from sqlalchemy import delete, update
from sqlalchemy.orm import Session

from console.store.columns import utc_now
from console.store.people_tables import TokenRow

Purpose = Literal["first", "invitation", "oidc"]
FIRST_HOURS = 24
_FORGET_AFTER = datetime.timedelta(days=1)
"""How long after its end a token's row is kept."""
_LETTERS = "ABCDEFGHJKMNPQRSTUVWXYZ23456789"
"""Nothing that is easily misread: the first token is typed by hand."""


def new_secret() -> str:
    """Return 256 random bits as text that a cookie and a URL can hold."""
    return secrets.token_urlsafe(32)


def digest(secret: str) -> str:
    """Return what is kept of a secret. It has 128 random bits at least, so no salt and no slow hash."""
    return hashlib.sha256(secret.encode()).hexdigest()


def first_token(database: Session) -> str:
    """Return a token for the first account; earlier ones are void from now on."""
    database.execute(update(TokenRow).where(TokenRow.purpose == "first").values(expires_at=utc_now()))
    token = "-".join("".join(secrets.choice(_LETTERS) for _ in range(5)) for _ in range(6))
    return keep(database, "first", token, {}, datetime.timedelta(hours=FIRST_HOURS))


def issue(database: Session, purpose: Purpose, about: dict[str, Any], lasts: datetime.timedelta) -> str:
    """Return a new token for that purpose."""
    return keep(database, purpose, new_secret(), about, lasts)


def redeem(database: Session, purpose: Purpose, token: str) -> dict[str, Any] | None:
    """Use a token up and return what it is about; None where it is unknown, used or over."""
    now = utc_now()
    used = database.execute(
        update(TokenRow)
        .where(
            TokenRow.token_sha256 == digest(token),
            TokenRow.purpose == purpose,
            TokenRow.used_at.is_(None),
            TokenRow.expires_at > now,
        )
        .values(used_at=now)
        .returning(TokenRow.about)
    ).one_or_none()
    return None if used is None else dict(used[0])


def keep(
    database: Session, purpose: Purpose, token: str, about: dict[str, Any], lasts: datetime.timedelta
) -> str:
    """Keep a token for that purpose and return it; those that are over go."""
    database.execute(delete(TokenRow).where(TokenRow.expires_at < utc_now() - _FORGET_AFTER))
    database.add(
        TokenRow(
            token_sha256=digest(token),
            purpose=purpose,
            about=about,
            expires_at=utc_now() + lasts,
            used_at=None,
        )
    )
    return token
