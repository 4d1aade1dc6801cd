"""The home page: my teams' environments as they stand, and what needs the reader."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from templates.console.parts import Frame, Link, Moment
from templates.console.phrase import Phrase
from templates.console.problem import Said

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
class StateView:
    """How an environment stands."""

    name: str
    tone: Tone
    sentence: str
    """What that means."""


@dataclass(frozen=True, kw_only=True)
class Need:
    """Something that waits for the reader."""

    place: str
    """What it is about: an environment, a run; shown as the link."""
    href: str
    text: str
    said: Phrase | None = None
    """What the product, or somebody, says of it; None for nothing."""


@dataclass(frozen=True, kw_only=True)
class EnvironmentCard:
    """One environment, as `environment_card.html.j2` shows it."""

    name: str
    team: str
    state: StateView
    looked_at: Moment | None
    """None where it could not be looked at."""
    figures: tuple[Figure, ...]
    needs: tuple[str, ...]
    """What somebody should do something about."""
    trouble: tuple[Said, ...]
    """What the product or the cloud says of it in its own words."""
    runs: tuple[RunLine, ...]
    links: tuple[Link, ...] = ()
    """Where one goes from it: to what is being done to it, to all of its runs."""


@dataclass(frozen=True, kw_only=True)
class CardsPart:
    """The part of the page that is shown anew while it is open."""

    template: ClassVar[str] = "console/cards.html.j2"

    needs: tuple[Need, ...]
    """What waits for the reader, the most urgent first."""
    cards: tuple[EnvironmentCard, ...]
    live: str
    """Where it comes from anew, with what it is now, so that nothing comes while nothing has changed."""


@dataclass(frozen=True, kw_only=True)
class HomePage:
    """What the page shows."""

    template: ClassVar[str] = "console/home.html.j2"

    frame: Frame
    style: str
    script: str
    needs: tuple[Need, ...]
    cards: tuple[EnvironmentCard, ...]
    live: str
    action: Link | None
    """The one thing to do first, for whoever may do it."""
    empty: str
    """What to say where there is no environment, "" where there are some."""
    empty_command: str
