"""The home page: my teams' environments as they stand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from templates.console.parts import Frame, Link, Moment

Tone = Literal["good", "busy", "bad", "plain"]


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One figure of an environment."""

    label: str
    value: str
    note: str
    """What belongs to it in small print, "" for nothing."""


@dataclass(frozen=True, kw_only=True)
class RunLine:
    """One run in a list."""

    id: str
    program: str
    state: str
    tone: Tone
    submitted: Moment
    took: str
    """How long it has run, "" before it has started."""


@dataclass(frozen=True, kw_only=True)
class EnvironmentCard:
    """One environment, as `environment_card.html.j2` shows it."""

    name: str
    team: str
    state: str
    tone: Tone
    looked_at: Moment | None
    """None where it could not be looked at."""
    figures: tuple[Figure, ...]
    needs: tuple[str, ...]
    """What somebody should do something about."""
    trouble: tuple[str, ...]
    """What the product or the cloud says of it in its own words, which are English."""
    runs: tuple[RunLine, ...]
    links: tuple[Link, ...] = ()
    """Where one goes from it: to what is being done to it, to its teardown."""


@dataclass(frozen=True, kw_only=True)
class HomePage:
    """What the page shows."""

    template: ClassVar[str] = "console/home.html.j2"

    frame: Frame
    cards: tuple[EnvironmentCard, ...]
    empty: str
    """What to do where there is no environment, "" where there are some."""
    empty_command: str
