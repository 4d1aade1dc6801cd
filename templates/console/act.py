"""The page of one act: how far it is, what it has said, and how it ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from templates.console.home import Tone
from templates.console.parts import Frame, Link, Moment
from templates.console.phrase import Phrase
from templates.console.problem import Said


@dataclass(frozen=True, kw_only=True)
class Part:
    """How far one part of it is."""

    id: str
    label: str
    done: int
    total: int
    count: str
    """Both in words, "3 of 12"."""
    latest: str
    """The last that was said of it, in English."""


@dataclass(frozen=True, kw_only=True)
class EndedThing:
    """One thing that was to be deleted, or stays."""

    kind: Phrase
    id: str
    environment: str
    why: Phrase
    """Why it stays, "" where it went."""


@dataclass(frozen=True, kw_only=True)
class EndedThings:
    """All things that one came to."""

    code: str
    """What its heading is known by on the page."""
    title: str
    caption: str
    """How many there are."""
    lines: tuple[EndedThing, ...]
    more: str
    """How many are not shown, in words; "" where all are."""


@dataclass(frozen=True, kw_only=True)
class ActView:
    """An act as it stands; all but the form that stops it is shown anew while it goes on."""

    state: str
    tone: Tone
    sentence: str
    """What that means, and what there is to do."""
    began: Moment
    ended: Moment | None
    parts: tuple[Part, ...]
    said: tuple[Said, ...]
    """Why it was refused or has failed, in English."""
    links: tuple[Link, ...]
    """Where one goes from here."""
    results: tuple[EndedThings, ...]
    """What became of the things that a deletion was about."""
    lines: tuple[str, ...]
    """What it has told, newest first, in English."""
    stop_path: str
    """Where a form is sent that stops it, "" where it has ended or the reader may not."""
    repeat_path: str
    """Where a form is sent that does it again, else ""."""
    put_away: bool
    """Whether what it told is not kept any more."""
    form_token: str


@dataclass(frozen=True, kw_only=True)
class ActPart:
    """What is sent again while the act goes on."""

    template: ClassVar[str] = "console/act_view.html.j2"

    act: ActView


@dataclass(frozen=True, kw_only=True)
class ActPage:
    """What the page shows."""

    template: ClassVar[str] = "console/act.html.j2"

    frame: Frame
    act: ActView
    style: str
    """URL of its stylesheet."""
    stream: str
    """Where its news come from, "" where it has ended."""
