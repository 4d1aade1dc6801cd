"""The page of evidence packs: what one is made of, and those that were made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from templates.console.home import Tone
from templates.console.parts import Choice, Field, Frame, Link, Moment


@dataclass(frozen=True, kw_only=True)
class PackLine:
    """One pack that was asked for."""

    what: str
    at: Moment
    state: str
    tone: Tone
    href: str
    """Of the act that makes or made it."""
    download: str
    """"" where there is none, or none any more."""
    sha256: str


@dataclass(frozen=True, kw_only=True)
class ExportPage:
    """What the page shows."""

    template: ClassVar[str] = "console/export.html.j2"

    frame: Frame
    style: str
    links: tuple[Link, ...]
    environments: tuple[Choice, ...]
    since: Field
    until: Field
    packs: tuple[PackLine, ...]
