"""The page on which what is left over is deleted: what goes, what stays and why, and the word to type."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from templates.console.act import EndedThing
from templates.console.parts import Choice, Field, Frame, Link, Moment
from templates.console.phrase import Phrase


@dataclass(frozen=True, kw_only=True)
class KindLine:
    """All things of one kind."""

    kind: Phrase
    count: str
    hour: str
    """"" where it costs nothing by the hour."""


@dataclass(frozen=True, kw_only=True)
class LeftoversDeletePage:
    """What the page shows."""

    template: ClassVar[str] = "console/leftovers_delete.html.j2"

    frame: Frame
    style: str
    links: tuple[Link, ...]
    going: Link | None
    """A deletion that goes on, beside which no other one is begun."""
    environments: tuple[Choice, ...]
    environment: str
    data: bool
    past_lease: bool
    """What was ticked."""
    at: Moment
    unseen: tuple[tuple[str, str], ...]
    """What could not be looked at, and why, in English."""
    kinds: tuple[KindLine, ...]
    goes: tuple[EndedThing, ...]
    saves: str
    """What that is in words, an hour and a month."""
    tagged: tuple[EndedThing, ...]
    """What stays and gets its environment's tag first."""
    stays: tuple[EndedThing, ...]
    shown: str
    """What tells all this from what another look would show."""
    changed: bool
    """Whether it is not what was shown when the form was sent."""
    word: str
    """What has to be typed."""
    typed: Field
