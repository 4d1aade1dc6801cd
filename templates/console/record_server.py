"""The page of one server: who entered it, how, when, why, and how much is recorded of that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from templates.console.home import Tone
from templates.console.parts import Choice, Frame, Link, Moment
from templates.console.phrase import Phrase


@dataclass(frozen=True, kw_only=True)
class EntranceLine:
    """One row of the timeline."""

    at: Moment
    ended: Moment | None
    who: str
    who_href: str
    what: str
    reason: str
    content: str
    tone: Tone
    """Of the content: `bad` for what somebody has to explain."""
    finding: str
    """What somebody has to explain, "" for nothing."""
    transcript: str
    """Where the transcript is, "" where there is none for the reader."""
    evidence: tuple[str, ...]
    sealed: str
    """Whether a signed digest covers it, in words."""


@dataclass(frozen=True, kw_only=True)
class ServerPage:
    """What the page shows."""

    template: ClassVar[str] = "console/record_server.html.j2"

    frame: Frame
    style: str
    links: tuple[Link, ...]
    here: str
    periods: tuple[Choice, ...]
    since: Moment
    until: Moment
    rows: tuple[EntranceLine, ...]
    findings: int
    """How many rows have something to explain."""
    found_text: str
    found_tone: Tone
    trail: tuple[str, ...]
    """What is wrong with the trail's files, in English."""
    gaps: tuple[Phrase, ...]
    """What this does not cover."""
    enter: str
    """The command that enters the machine, "" for a reader who may not."""
