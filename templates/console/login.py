"""The page on which one signs in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from templates.console.parts import Frame


@dataclass(frozen=True, kw_only=True)
class LoginPage:
    """What the page shows."""

    template: ClassVar[str] = "console/login.html.j2"

    frame: Frame
    login: str
    """What was given before, to be corrected."""
    fault: str
    """Why it did not work, "" at first."""
    next_page: str
    """Where it leads."""
    by_company: str
    """Where one signs in with the company's account, "" where there is no such way."""
