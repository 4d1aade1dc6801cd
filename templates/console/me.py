"""The page on which somebody sees themselves: roles, sessions, password."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from templates.console.parts import Field, Frame, Moment


@dataclass(frozen=True, kw_only=True)
class SessionLine:
    """One browser in which the reader is signed in."""

    browser: str
    """What it is called, and on what it runs."""
    agent: str
    """What it says of itself."""
    address: str
    since: Moment
    seen: Moment
    here: bool


@dataclass(frozen=True, kw_only=True)
class MePage:
    """What the page shows."""

    template: ClassVar[str] = "console/me.html.j2"

    frame: Frame
    record: str
    """Where they see what is on record of them, and who looked at that."""
    roles: tuple[str, ...]
    sessions: tuple[SessionLine, ...]
    has_password: bool
    """Whether the reader signs in with a password here."""
    password: Field
    password_hint: str
