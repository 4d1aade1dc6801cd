"""The page of something that went wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from templates.console.parts import Frame


@dataclass(frozen=True, kw_only=True)
class Said:
    """What the product says of it, in its own words."""

    what: str
    do: str
    language: str = "en"
    """Of `what`: "" for the page's own."""
    do_language: str | None = None
    """Of `do`; None for that of `what`."""

    @property
    def do_in(self) -> str:
        """The language of `do`, "" for the page's own."""
        return self.language if self.do_language is None else self.do_language


@dataclass(frozen=True, kw_only=True)
class ProblemPage:
    """What the page shows."""

    template: ClassVar[str] = "console/problem.html.j2"

    frame: Frame
    text: str
    said: tuple[Said, ...]
