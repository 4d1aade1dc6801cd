"""The page of what is left over in the account: totals, then each thing with its proof, by what it means."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from templates.console.home import Tone
from templates.console.parts import Choice, Frame, Link, Moment
from templates.console.phrase import Phrase


@dataclass(frozen=True, kw_only=True)
class TotalLine:
    """All things with one verdict."""

    verdict: str
    meaning: str
    count: str
    hour: str
    month: str


@dataclass(frozen=True, kw_only=True)
class LeftLine:
    """One thing."""

    kind: Phrase
    id: str
    name: str
    """"" where its id is its name."""
    region: str
    environment: str
    environment_href: str
    """The environment's page, "" where no file declares it."""
    team: str
    age: str
    hour: str
    month: str
    """Both "" where it costs nothing by standing there."""
    proof: Phrase
    reason: Phrase
    loses_data: bool


@dataclass(frozen=True, kw_only=True)
class LeftList:
    """All things with one verdict, the dearest first."""

    code: str
    """What its heading is known by on the page."""
    title: str
    meaning: str
    caption: str
    """How many there are."""
    lines: tuple[LeftLine, ...]
    more: str
    """How many are not shown, in words; "" where all are."""
    folded: bool


@dataclass(frozen=True, kw_only=True)
class LeftoversView:
    """One look through the account, as much of it as was asked for."""

    tone: Tone
    sentence: str
    """What is left, in one sentence."""
    scope: str
    at: Moment
    ago: str
    unseen: tuple[tuple[str, str], ...]
    """What could not be looked at, and why, in English."""
    totals: tuple[TotalLine, ...]
    lists: tuple[LeftList, ...]
    environments: tuple[Choice, ...]
    kinds: tuple[Choice, ...]
    environment: str
    kind: str
    """What is shown alone, "" for all."""
    delete: str
    """The page on which what is left over is deleted, "" where there is nothing, or the reader may not."""
    prices: str
    """Where the prices are from, in English."""
    form_token: str


@dataclass(frozen=True, kw_only=True)
class LeftoversPart:
    """What comes a moment after the page, once every service has answered."""

    template: ClassVar[str] = "console/leftovers_list.html.j2"

    left: LeftoversView


@dataclass(frozen=True, kw_only=True)
class LeftoversWait:
    """What is sent while that takes longer: it asks again."""

    template: ClassVar[str] = "console/leftovers_wait.html.j2"

    part: str
    whole: str


@dataclass(frozen=True, kw_only=True)
class LeftoversPage:
    """What the page shows."""

    template: ClassVar[str] = "console/leftovers.html.j2"

    frame: Frame
    style: str
    script: str
    acts: tuple[Link, ...]
    """Deletions that go on, and the last ones that ended."""
    left: LeftoversView | None
    """None where it comes later, from the next two."""
    part: str
    whole: str
