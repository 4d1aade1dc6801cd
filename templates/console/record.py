"""Lists of entries of the record: of everything, of one environment, of one person."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from templates.console.home import Tone
from templates.console.parts import Choice, Frame, Link, Moment


@dataclass(frozen=True, kw_only=True)
class Reached:
    """How complete what is shown is."""

    text: str
    """Up to which entry it is shown and checked."""
    verified: str
    """When the whole record was verified last, how far, and by whom."""
    tone: Tone
    """`bad` where something does not fit or nobody has verified it for a day."""
    badge: str
    warnings: tuple[str, ...]
    """In the reader's language."""
    trouble: str
    """What the cloud says, in English; "" for nothing."""


@dataclass(frozen=True, kw_only=True)
class EntryLine:
    """One entry in a list."""

    number: str
    href: str
    at: Moment
    who: str
    who_href: str
    """"" where there is no page of them for the reader."""
    note: str
    """What has to be said of who it is, "" for nothing."""
    what: str
    target: str
    target_href: str
    environment: str
    outcome: str
    tone: Tone
    fault: str
    """What does not fit in the chain there, "" for nothing."""


@dataclass(frozen=True, kw_only=True)
class MachineLine:
    """One machine of an environment."""

    id: str
    href: str
    role: str
    state: str
    """As EC2 calls it."""
    started: Moment


@dataclass(frozen=True, kw_only=True)
class Filters:
    """What narrows the list down."""

    here: str
    environments: tuple[Choice, ...]
    """None on the page of one."""
    events: tuple[Choice, ...]
    outcomes: tuple[Choice, ...]
    person: str
    asks_person: bool
    since: str
    """First and last day, "" for none."""
    until: str


@dataclass(frozen=True, kw_only=True)
class RecordPage:
    """What the page shows."""

    template: ClassVar[str] = "console/record.html.j2"

    frame: Frame
    style: str
    reached: Reached
    links: tuple[Link, ...]
    intro: str = ""
    filters: Filters | None
    machines: tuple[MachineLine, ...] = ()
    machine_form: str = ""
    """Where a machine is asked for by its id, "" for nowhere."""
    machine_trouble: str = ""
    rows: tuple[EntryLine, ...]
    caption: str
    empty: str
    looked: str
    """How far was looked, where that is not all; "" otherwise."""
    older: str
    newest: str
    watchers: tuple[EntryLine, ...] = ()
    watchers_title: str = ""
    """"" where the page is nobody's."""
