"""The first step of a launch: where it trains, in an environment that is there or in a new one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from templates.console.home import Tone
from templates.console.parts import Choice, Field, Frame, Link
from templates.console.problem import Said


@dataclass(frozen=True, kw_only=True)
class Step:
    """One of the steps."""

    label: str
    href: str
    """"" where one can't go there yet."""
    current: bool


@dataclass(frozen=True, kw_only=True)
class PlaceLine:
    """An environment that is there."""

    name: str
    state: str
    tone: Tone
    notes: tuple[str, ...]
    """What it has and costs."""
    teams: tuple[Choice, ...]
    """Whose share it may count to; none where there is nothing to choose."""
    chosen: bool


@dataclass(frozen=True, kw_only=True)
class StarterLine:
    """Something that a new environment can begin with."""

    value: str
    title: str
    text: str
    price: str
    chosen: bool


@dataclass(frozen=True, kw_only=True)
class Unfinished:
    """A launch that was begun and not started."""

    about: str
    href: str
    discard: str
    """Where a form is sent that throws it away."""


@dataclass(frozen=True, kw_only=True)
class LaunchPage:
    """What the page shows."""

    template: ClassVar[str] = "console/launch.html.j2"

    frame: Frame
    steps: tuple[Step, ...]
    here: str
    """Where its forms are sent."""
    places: tuple[PlaceLine, ...]
    starters: tuple[StarterLine, ...]
    teams_hint: str
    """For which teams somebody may build."""
    name: Field
    team: Field
    owner: Field
    said: tuple[Said, ...]
    """What else speaks against the new environment."""
    unfinished: tuple[Unfinished, ...]
    first: Link | None
    """Where somebody goes who may do nothing here, None for others."""
    style: str
