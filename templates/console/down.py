"""The page of a teardown before it is begun: what goes, what stays, what speaks against it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from templates.console.parts import Choice, Field, Frame
from templates.console.phrase import Phrase
from templates.console.problem import Said


@dataclass(frozen=True, kw_only=True)
class KindLine:
    """All things of one kind."""

    kind: str
    """As AWS calls it, in English."""
    count: str
    price: str
    """An hour, "" where it costs nothing by the hour."""


@dataclass(frozen=True, kw_only=True)
class DownView:
    """What was found, and the form that begins it."""

    name: str
    base: str
    """"1" where the base goes too, else ""."""
    goes: tuple[KindLine, ...]
    saves: str
    stays: tuple[KindLine, ...]
    costs_on: str
    left: tuple[KindLine, ...]
    """What no stack of the environment has made."""
    lost: tuple[Phrase, ...]
    """Data that goes for good, in the product's words, which are English."""
    against: tuple[Said, ...]
    unseen: tuple[str, ...]
    """What could not be looked at."""
    typed: Field
    reason: Field
    form_token: str


@dataclass(frozen=True, kw_only=True)
class DownPart:
    """What comes a moment after the page, once all services have answered."""

    template: ClassVar[str] = "console/down_view.html.j2"

    view: DownView


@dataclass(frozen=True, kw_only=True)
class DownPage:
    """What the page shows."""

    template: ClassVar[str] = "console/down.html.j2"

    frame: Frame
    style: str
    script: str
    path: str
    """The page's own path."""
    how_far: tuple[Choice, ...]
    """The fleet alone, or the base too."""
    view: DownView | None
    """None where it comes later, from the next two."""
    part_path: str
    whole_path: str
