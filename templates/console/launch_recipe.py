"""The third step of a launch: what is wanted, and the two or three knobs that matter for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from templates.console.launch import Step
from templates.console.parts import Frame
from templates.console.phrase import Phrase
from templates.console.problem import Said


@dataclass(frozen=True, kw_only=True)
class WantLine:
    """One thing that can be wanted of the data."""

    title: Phrase
    text: Phrase
    href: str
    current: bool


@dataclass(frozen=True, kw_only=True)
class KnobChoice:
    """One value of a knob."""

    value: str
    label: Phrase
    chosen: bool


@dataclass(frozen=True, kw_only=True)
class KnobField:
    """Something to choose."""

    name: str
    kind: Literal["whole", "choice", "columns"]
    """A column of several is a choice as well."""
    label: Phrase
    why: Phrase
    unit: Phrase | None
    value: str
    low: int
    high: int
    choices: tuple[KnobChoice, ...]
    fault: Phrase | None


@dataclass(frozen=True, kw_only=True)
class LaunchRecipePage:
    """What the page shows."""

    template: ClassVar[str] = "console/launch_recipe.html.j2"

    frame: Frame
    steps: tuple[Step, ...]
    here: str
    data: str
    """What is learned from."""
    wants: tuple[WantLine, ...]
    want: str
    """The one that is shown, "" for none yet."""
    knobs: tuple[KnobField, ...]
    said: tuple[Said, ...]
    style: str
