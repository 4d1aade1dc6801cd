"""The page of one entry: what it says, read from the ledger itself, and whether it fits in the chain."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from templates.console.home import Tone
from templates.console.parts import Frame, Link, Moment


@dataclass(frozen=True, kw_only=True)
class Check:
    """One thing that was checked."""

    text: str
    tone: Tone
    badge: str


@dataclass(frozen=True, kw_only=True)
class EntryPage:
    """What the page shows."""

    template: ClassVar[str] = "console/record_entry.html.j2"

    frame: Frame
    style: str
    links: tuple[Link, ...]
    at: Moment | None
    """None for an entry that says no time."""
    facts: tuple[tuple[str, str], ...]
    checks: tuple[Check, ...]
    body: str
    """The whole entry, as JSON."""
