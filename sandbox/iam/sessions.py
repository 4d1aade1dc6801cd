"""Sessions of assumed roles: which access key belongs to whom, until when, and with what restrictions.

moto remembers a role's session without its tags, source identity, policies or end, so they are kept here,
for the whole process as moto's own stores are. The access keys are made by moto, which reads the account
from them.
"""

from __future__ import annotations

import secrets
import threading
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from moto.iam.models import iam_backends

_FORGET_AFTER = timedelta(hours=1)
"""How long an expired session is still known, so that its keys are refused as expired and not as unknown."""


@dataclass(frozen=True, kw_only=True)
class Session:
    """One session of an assumed role; the fields are STS's own."""

    access_key: str
    secret: str
    token: str
    role_arn: str
    role_id: str
    account: str
    partition: str
    name: str
    """RoleSessionName."""
    issued: datetime
    expires: datetime
    source_identity: str = ""
    tags: dict[str, str] = field(default_factory=dict)
    transitive: frozenset[str] = frozenset()
    """Keys of the tags that follow into the sessions of roles that this one assumes."""
    policies: tuple[str, ...] = ()
    """Session policies: JSON documents, those of PolicyArns read when the session began."""
    service: str = ""
    """The service principal that assumed the role (`ec2.amazonaws.com`), "" for one of IAM."""

    @property
    def role_name(self) -> str:
        """The role's name without its path."""
        return self.role_arn.rsplit("/", 1)[-1]

    @property
    def arn(self) -> str:
        """The assumed role's ARN, as GetCallerIdentity answers it."""
        return f"arn:{self.partition}:sts::{self.account}:assumed-role/{self.role_name}/{self.name}"

    @property
    def user_id(self) -> str:
        """The assumed role's id: `aws:userid` and AssumedRoleId."""
        return f"{self.role_id}:{self.name}"

    def is_expired(self, now: datetime | None = None) -> bool:
        """Return whether the session has ended."""
        return (now or datetime.now(UTC)) >= self.expires


class Sessions:
    """Every session by its access key."""

    def __init__(self) -> None:
        self._sessions: dict[str, Session] = {}
        self._lock = threading.Lock()

    def begin(self, role: Any, name: str, duration_s: int, **more: Any) -> Session:
        """Begin a session of moto's role that ends in `duration_s` seconds; `more` are fields of Session."""
        self._forget()
        key = iam_backends[role.account_id][role.partition].create_temp_access_key()
        now = datetime.now(UTC).replace(microsecond=0)
        session = Session(
            access_key=key.access_key_id,
            secret=key.secret_access_key,
            token=secrets.token_urlsafe(96),
            role_arn=role.arn,
            role_id=role.id,
            account=role.account_id,
            partition=role.partition,
            name=name,
            issued=now,
            expires=now + timedelta(seconds=duration_s),
            **more,
        )
        with self._lock:
            self._sessions[session.access_key] = session
        return session

    def find(self, access_key: str) -> Session | None:
        """Return the session that the key belongs to, expired or not."""
        return self._sessions.get(access_key)

    def expire(self, access_key: str) -> bool:
        """End a session now; return whether there was one."""
        with self._lock:
            session = self._sessions.get(access_key)
            if session is not None:
                self._sessions[access_key] = replace(session, expires=datetime.now(UTC))
        return session is not None

    def _forget(self) -> None:
        """Drop the sessions that ended long ago, and moto's keys of them."""
        horizon = datetime.now(UTC) - _FORGET_AFTER
        with self._lock:
            ended = [each for each in self._sessions.values() if each.expires < horizon]
            for session in ended:
                del self._sessions[session.access_key]
        for session in ended:
            keys = iam_backends[session.account][session.partition].access_keys
            keys.pop(session.access_key, None)


SESSIONS = Sessions()
"""The sessions of this process, which is one embedded cloud."""


def role_of(role_arn: str) -> Any | None:
    """Return moto's role of that ARN, or None where there is none (or another one of its name)."""
    parts = role_arn.split(":", 5)
    if len(parts) != 6 or parts[2] != "iam" or not parts[5].startswith("role/"):
        return None
    account, partition = parts[4], parts[1]
    if account not in iam_backends:
        return None
    roles = list(iam_backends[account][partition].roles.values())
    return next((role for role in roles if role.arn == role_arn), None)
