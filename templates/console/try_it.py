"""The page that lets a model answer: what it wants to know, and what it said."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from templates.console.parts import Choice, Frame
from templates.console.phrase import Phrase


@dataclass(frozen=True, kw_only=True)
class TryInput:
    """One field of the form."""

    name: str
    label: str
    kind: Literal["picture", "text", "number", "choice"]
    value: str
    choices: tuple[Choice, ...]
    """Of a choice; none for the others."""
    hint: str
    """"" for nothing to say."""
    required: bool


@dataclass(frozen=True, kw_only=True)
class TryAnswer:
    """What the model said."""

    said: str
    """The class or the number; "" of a text."""
    rows: tuple[tuple[str, str], ...]
    """Each class with its probability, or the interval of a number."""
    text: str
    """The text, "" of the others."""
    notes: tuple[str, ...]
    """How the input was taken, in the product's own words, which are English."""


@dataclass(frozen=True, kw_only=True)
class TryPage:
    """What the page shows."""

    template: ClassVar[str] = "console/try_it.html.j2"

    frame: Frame
    here: str
    run_href: str
    card_href: str
    """Where the model can be had, "" for whom it can't."""
    inputs: tuple[TryInput, ...]
    answer: TryAnswer | None
    faults: tuple[Phrase, ...]
    """Why there is no answer; none where nothing is wrong."""
