"""The page of one environment, and the parts of it that come live or later."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from templates.console.home import Figure, RunLine, StateView, Tone
from templates.console.parts import Frame, Link, Moment
from templates.console.phrase import Phrase
from templates.console.problem import Said


@dataclass(frozen=True, kw_only=True)
class FleetRow:
    """One fleet and its machines."""

    name: str
    types: str
    busy: str
    idle: str
    at_most: str
    """How many machines it may have."""
    gpus: str
    """Of all that run."""


@dataclass(frozen=True, kw_only=True)
class StoreRow:
    """One thing that holds data."""

    kind: str
    id: str
    size: str
    """"" where it has none of its own."""


@dataclass(frozen=True, kw_only=True)
class AmountRow:
    """One amount of money."""

    label: str
    amount: str


@dataclass(frozen=True, kw_only=True)
class EnvironmentNow:
    """How an environment stands; shown anew while the page is open."""

    name: str
    state: StateView
    looked_at: Moment | None
    """None where it could not be looked at."""
    figures: tuple[Figure, ...]
    needs: tuple[str, ...]
    trouble: tuple[Said, ...]
    """What the product or the cloud says of it in its own words."""
    acts: tuple[Link, ...]
    """What is being done to it, or was cut off."""
    fleets: tuple[FleetRow, ...]
    facts: tuple[Figure, ...]
    """The head node and the disks."""
    stores: tuple[StoreRow, ...]
    costs: tuple[AmountRow, ...]
    """What costs by the hour, by what it is."""
    total: str
    """The sum of it."""
    runs: tuple[RunLine, ...]
    """Those under way, or where there is none the newest."""
    runs_caption: str
    live: str
    """Where it comes from anew."""


@dataclass(frozen=True, kw_only=True)
class NowPart:
    """What is sent again while the page is open."""

    template: ClassVar[str] = "console/environment_now.html.j2"

    now: EnvironmentNow


@dataclass(frozen=True, kw_only=True)
class TeamMoney:
    """What a team's runs have cost in a month, where several share an environment."""

    team: str
    spent: str
    reserved: str
    limit: str
    """Its own, "" where it has none."""
    left: str
    over: str
    """That nothing is left of it, "" where something is."""


@dataclass(frozen=True, kw_only=True)
class EnvironmentMoney:
    """What an environment has cost in a month."""

    month: str
    spent: tuple[AmountRow, ...]
    total: str
    reserved: str
    """What active runs may still cost."""
    limit: str
    """"" where its file sets none."""
    left: str
    over: bool
    """Whether nothing is left."""
    teams: tuple[TeamMoney, ...]
    """Those whose runs the reader may see; none where nobody shares it."""
    bill: tuple[Phrase, ...]
    """What AWS Budgets has counted, and what it does at which share; none where it has no such budget."""
    notes: tuple[Phrase, ...]
    """What could not be counted, in English."""
    at: Moment


@dataclass(frozen=True, kw_only=True)
class MoneyPart:
    """What comes a moment after the page."""

    template: ClassVar[str] = "console/environment_money.html.j2"

    money: EnvironmentMoney


@dataclass(frozen=True, kw_only=True)
class ChangeRow:
    """One change that is on record."""

    at: Moment
    what: str
    href: str
    """The page of its entry, "" where the record is not the reader's to read."""
    who: str
    outcome: str
    tone: Tone
    why: str
    """The reason that was given, or why it failed, as it was said; "" for none."""


@dataclass(frozen=True, kw_only=True)
class ChangesPart:
    """The last changes, which come a moment after the page."""

    template: ClassVar[str] = "console/environment_changes.html.j2"

    changes: tuple[ChangeRow, ...]


@dataclass(frozen=True, kw_only=True)
class EnvironmentPage:
    """What the page shows."""

    template: ClassVar[str] = "console/environment.html.j2"

    frame: Frame
    style: str
    script: str
    now: EnvironmentNow
    links: tuple[Link, ...]
    build: str
    """What building it means, "" where the reader may not, or there is nothing to build."""
    build_label: str
    agreed: str
    """What it costs, as the form sends it back."""
    about: tuple[Figure, ...]
    """Whose it is and where."""
    entering: tuple[str, ...]
    """Who may enter its machines, and how; a sentence each."""
    money: EnvironmentMoney | None
    """None where it comes later."""
    changes: tuple[ChangeRow, ...] | None
    path: str
    """The page's own path."""
