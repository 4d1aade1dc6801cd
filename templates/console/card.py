"""The page of a model to take home: how good it is, what it came of, its files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from templates.console.home import Figure
from templates.console.parts import Frame
from templates.console.phrase import Phrase


@dataclass(frozen=True, kw_only=True)
class FileLine:
    """One file of the model."""

    name: str
    size: str
    sha256: str
    """"" where none was recorded."""


@dataclass(frozen=True, kw_only=True)
class CardPage:
    """What the page shows."""

    template: ClassVar[str] = "console/card.html.j2"

    frame: Frame
    zip_href: str
    try_href: str
    """Where it can be tried, "" for whom it can't."""
    run_href: str
    size: str
    """Of all its files."""
    metrics: tuple[Figure, ...]
    """Measured on held-out data, under the trainer's English names."""
    facts: tuple[Figure, ...]
    gaps: tuple[Phrase, ...]
    """What can't be told."""
    files: tuple[FileLine, ...]
