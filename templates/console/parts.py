"""What several pages of the console are made of: the frame around each, notices, moments, links."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Moment:
    """A moment as a page shows it."""

    machine: str
    """ISO 8601, UTC."""
    utc: str
    """The same for a person who asks."""
    shown: str
    """In the reader's language and zone."""


@dataclass(frozen=True, kw_only=True)
class Link:
    """Somewhere to go."""

    label: str
    href: str
    current: bool = False
    """Whether the reader is there now."""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """One of several values that a form can send."""

    value: str
    label: str
    chosen: bool


@dataclass(frozen=True, kw_only=True)
class Notice:
    """Something to tell the reader before all else."""

    tone: Literal["good", "bad", "plain"]
    text: str


@dataclass(frozen=True, kw_only=True)
class Field:
    """What is wrong with one field of a form that was sent, and what was in it."""

    value: str = ""
    fault: str = ""
    """"" where nothing is wrong."""


@dataclass(frozen=True, kw_only=True)
class Frame:
    """What stands around every page."""

    title: str
    language: str
    languages: tuple[Choice, ...]
    """Each under its own name."""
    theme: str
    """`light`, `dark` or "" for what the system says."""
    themes: tuple[Choice, ...]
    style: str
    """URL of the stylesheet, as all URLs of files: with their digest, to be kept for ever."""
    icon: str
    scripts: tuple[str, ...]
    person: str
    """The name of whoever is signed in, "" for nobody."""
    places: tuple[Link, ...]
    form_token: str
    """Goes into every form."""
    here: str
    """The page's own path."""
    notices: tuple[Notice, ...]
    command: str
    """The command that does what this page does, "" where there is none."""
    session_wait: int
    """Seconds after which the page asks whether the sign-in is about to end, 0 where nobody is signed in."""
