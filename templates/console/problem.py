"""The page of something that went wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from templates.console.parts import Frame


@dataclass(frozen=True, kw_only=True)
class Said:
    """What the product says of it, in its own words, which are English."""

    what: str
    do: str


@dataclass(frozen=True, kw_only=True)
class ProblemPage:
    """What the page shows."""

    template: ClassVar[str] = "console/problem.html.j2"

    frame: Frame
    text: str
    said: tuple[Said, ...]
