"""The page of verifications: how far the record was verified, when, by whom, and what was found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from templates.console.parts import Choice, Frame, Link
from templates.console.record import EntryLine, Reached


@dataclass(frozen=True, kw_only=True)
class VerifyPage:
    """What the page shows."""

    template: ClassVar[str] = "console/verify.html.j2"

    frame: Frame
    style: str
    links: tuple[Link, ...]
    reached: Reached
    facts: tuple[tuple[str, str], ...]
    """What the last one looked at."""
    findings: tuple[str, ...]
    """What it found, in English."""
    unchecked: tuple[str, ...]
    days: tuple[Choice, ...]
    """How far back CloudTrail's files are looked at."""
    going: tuple[Link, ...]
    """Those that go on."""
    rows: tuple[EntryLine, ...]
    caption: str
