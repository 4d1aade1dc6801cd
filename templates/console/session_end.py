"""The end of a sign-in, as an open page tells of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, kw_only=True)
class SessionEnd:
    """What stands above every page while a sign-in is about to end, or has ended."""

    template: ClassVar[str] = "console/session_end.html.j2"

    wait: int
    """Seconds after which to ask again, 0 for never."""
    text: str = ""
    """"" while the end is far."""
    may_stay: bool = False
    """Whether it can be put off."""
    sign_in: str = ""
    """Where to sign in anew, once it has ended."""
