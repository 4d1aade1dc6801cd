"""The page of people and their roles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from templates.console.parts import Choice, Frame


@dataclass(frozen=True, kw_only=True)
class Held:
    """A role that somebody has."""

    role: str
    team: str
    text: str
    """Both in words."""
    mine_to_take: bool
    """Whether the reader may take it away."""


@dataclass(frozen=True, kw_only=True)
class PersonLine:
    """One person."""

    id: str
    name: str
    known_as: str
    disabled: bool
    roles: tuple[Held, ...]


@dataclass(frozen=True, kw_only=True)
class Invitation:
    """An invitation that was just made; its token is shown this once."""

    token: str
    address: str
    """Where it is used."""
    days: int
    """How long it is good."""


@dataclass(frozen=True, kw_only=True)
class PeoplePage:
    """What the page shows."""

    template: ClassVar[str] = "console/people.html.j2"

    frame: Frame
    people: tuple[PersonLine, ...]
    teams: tuple[Choice, ...]
    roles: tuple[Choice, ...]
    manages_all: bool
    """Whether the reader may keep people out and let them in."""
    invitation: Invitation | None
