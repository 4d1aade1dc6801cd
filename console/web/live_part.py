"""A part of a page that is shown anew while the page is open, and is sent only where it has changed."""

from __future__ import annotations

import hashlib

_DIGITS = 16


def digest_of(*shown: object) -> str:
    """Return what tells two looks at the same part apart; `shown` are values with a whole `repr`."""
    return hashlib.sha256(repr(shown).encode()).hexdigest()[:_DIGITS]


def live_path(path: str, digest: str) -> str:
    """Return where the part comes from anew, which says what the page shows already."""
    return f"{path}?seen={digest}"
