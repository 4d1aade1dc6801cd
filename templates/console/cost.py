"""The pages of what environments came to: pictures, each with its table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from templates.console.home import Figure
from templates.console.parts import Choice, Frame, Link, Moment
from templates.console.phrase import Phrase


@dataclass(frozen=True, kw_only=True)
class Use:
    """One thing that money and time went into."""

    code: str
    """The class by which a picture colours it."""
    label: str
    meaning: str


@dataclass(frozen=True, kw_only=True)
class Block:
    """One coloured rectangle of a picture, in its own units."""

    use: str
    x: str
    y: str
    width: str
    height: str
    title: str
    """What it stands for."""


@dataclass(frozen=True, kw_only=True)
class Mark:
    """One text of a picture."""

    x: str
    y: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A picture of bars."""

    title: str
    width: str
    height: str
    blocks: tuple[Block, ...]
    names: tuple[Mark, ...]
    """What stands at the bars."""
    amounts: tuple[Mark, ...]
    """What they come to."""
    more: str
    """What it leaves out for want of room, "" for nothing."""


@dataclass(frozen=True, kw_only=True)
class AmountLine:
    """One row of a table."""

    name: str
    href: str
    """"" for what has no page."""
    cells: tuple[str, ...]
    """By use, then all together."""


@dataclass(frozen=True, kw_only=True)
class AmountTable:
    """A table of amounts by use."""

    caption: str
    what: str
    """What a row is."""
    lines: tuple[AmountLine, ...]
    whole: AmountLine


@dataclass(frozen=True, kw_only=True)
class Costs:
    """What there is to show of a period."""

    figures: tuple[Figure, ...]
    uses: tuple[Use, ...]
    groups: Picture
    days: Picture
    money: AmountTable
    hours: AmountTable
    by_day: AmountTable
    prices: tuple[str, ...]
    """Where the prices are from, in English."""
    notes: tuple[Phrase, ...]
    """What could not be known."""
    at: Moment
    leftovers: str = ""
    """The page of what is left over in the account, for who sees that."""


@dataclass(frozen=True, kw_only=True)
class CostPart:
    """What comes a moment after the page."""

    template: ClassVar[str] = "console/cost_table.html.j2"

    costs: Costs


@dataclass(frozen=True, kw_only=True)
class CostWait:
    """What comes while it is still being added up."""

    template: ClassVar[str] = "console/cost_wait.html.j2"

    part: str
    """Where the rest comes from."""
    whole: str


@dataclass(frozen=True, kw_only=True)
class CostPage:
    """What the page shows."""

    template: ClassVar[str] = "console/cost.html.j2"

    frame: Frame
    style: str
    here: str
    since: str
    """Days, as the form sends them."""
    until: str
    by: tuple[Choice, ...]
    links: tuple[Link, ...]
    costs: Costs | None
    """None where they come a moment later."""
    part: str
    """Where from."""
    whole: str
    """The page with them in it, for who has no scripts."""
