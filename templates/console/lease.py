"""The page of a lease: when it ends, what happens then, and the form that puts its end off."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from templates.console.home import Figure, Tone
from templates.console.parts import Choice, Field, Frame, Link, Moment


@dataclass(frozen=True, kw_only=True)
class LeasePage:
    """What the page shows."""

    template: ClassVar[str] = "console/lease.html.j2"

    frame: Frame
    style: str
    path: str
    """The page's own path, to which the form is sent."""
    ends: Moment
    """The first moment at which it is over."""
    state: str
    tone: Tone
    figures: tuple[Figure, ...]
    happens: tuple[str, ...]
    """What happens at the end and before, a sentence each."""
    notices: tuple[str, ...]
    """What somebody should know who puts it off."""
    choices: tuple[Choice, ...]
    """The days to which it may be put off; none where it may not, or not by this reader."""
    until: Field
    reason: Field
    why_not: str
    """Why there is no form, "" where there is one."""
    why_not_about: tuple[str, ...]
    """The settings that it is about."""
    links: tuple[Link, ...]
