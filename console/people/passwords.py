"""Passwords of local accounts: argon2id, and what is no good as one. The only door to argon2."""

from __future__ import annotations

import threading
from collections.abc import Iterator

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

SHORTEST, LONGEST = 12, 256
"""Characters. Length is what counts (OWASP ASVS 5.0, 6.2.1); the longest keeps hashing cheap."""
_HASHER = PasswordHasher()
"""RFC 9106's second recommended choice: 64 MiB, three passes, four lanes."""
_AT_ONCE = threading.BoundedSemaphore(4)
"""How many are hashed at a time: each takes 64 MiB, and whoever tries passwords shall not take all memory."""
_NOBODYS = _HASHER.hash("a password that nobody has")


def hash_password(password: str) -> str:
    """Return the password as it is kept."""
    with _AT_ONCE:
        return _HASHER.hash(password)


def verify_password(kept: str | None, password: str) -> bool:
    """Return whether it is the password that is kept; where none is, it takes as long to say no."""
    if len(password) > LONGEST:
        return False
    try:
        with _AT_ONCE:
            return _HASHER.verify(kept or _NOBODYS, password) and kept is not None
    except (VerificationError, InvalidHashError):
        return False


def faults(password: str, login: str) -> Iterator[str]:
    """Yield why it is no good as a password, by the name of the reason: `short`, `long`, `login`, `same`."""
    if len(password) < SHORTEST:
        yield "short"
    if len(password) > LONGEST:
        yield "long"
    if login and login.casefold() in password.casefold():
        yield "login"
    if len(set(password)) < 5:
        yield "same"
