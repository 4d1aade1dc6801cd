"""One run: how it stands, its figures, curves, log and events; and the parts of it that come live."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from templates.console.home import Figure, Tone
from templates.console.parts import Frame, Link, Moment
from templates.console.phrase import Phrase


@dataclass(frozen=True, kw_only=True)
class RunState:
    """How a run stands."""

    name: str
    tone: Tone
    since: str
    """How long it has been so, or how long it took, in words."""
    cause: Phrase | None
    """Why it ended or what it waits for; None for nothing to say."""


@dataclass(frozen=True, kw_only=True)
class EventLine:
    """One event."""

    at: Moment
    name: str
    detail: Phrase | None
    """What the product says of it, None for nothing."""


@dataclass(frozen=True, kw_only=True)
class Column:
    """One figure that steps have."""

    key: str
    """As the run calls it."""
    label: str


@dataclass(frozen=True, kw_only=True)
class StepTable:
    """The logged steps, as the charts' table shows them."""

    columns: tuple[Column, ...]
    """Without the step itself."""
    rows: tuple[tuple[str, ...], ...]
    """The step and its figures, as a program reads numbers; "" where a step has none."""


@dataclass(frozen=True, kw_only=True)
class RunReceipt:
    """What a run leaves at its end."""

    figures: tuple[Figure, ...]
    lines: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class RunActions:
    """What the reader can do with a run as it stands."""

    model: tuple[Link, ...]
    """What can be done with the model that it left."""
    stop: str
    """Where it is stopped, "" where it has ended or the person may not."""
    resume: str
    """Where it is gone on with, "" likewise."""
    form_token: str


@dataclass(frozen=True, kw_only=True)
class ActionsPart:
    """The part of the page with what can be done."""

    template: ClassVar[str] = "console/run_actions.html.j2"

    actions: RunActions


@dataclass(frozen=True, kw_only=True)
class StatePart:
    """The part of the page that says how the run stands."""

    template: ClassVar[str] = "console/run_state.html.j2"

    state: RunState


@dataclass(frozen=True, kw_only=True)
class FiguresPart:
    """The part with its figures."""

    template: ClassVar[str] = "console/run_figures.html.j2"

    figures: tuple[Figure, ...]


@dataclass(frozen=True, kw_only=True)
class EventsPart:
    """Some of its events."""

    template: ClassVar[str] = "console/run_event.html.j2"

    events: tuple[EventLine, ...]


@dataclass(frozen=True, kw_only=True)
class ReceiptPart:
    """Its receipt."""

    template: ClassVar[str] = "console/run_receipt.html.j2"

    receipt: RunReceipt


@dataclass(frozen=True, kw_only=True)
class RunPage:
    """What the page shows."""

    template: ClassVar[str] = "console/run.html.j2"

    frame: Frame
    about: tuple[Figure, ...]
    """What it is: program, machines, who."""
    state: RunState
    figures: tuple[Figure, ...]
    steps: StepTable
    receipt: RunReceipt
    """Empty until it has ended."""
    ranks: tuple[Link, ...]
    """The log of each node, where there are several."""
    log: str
    log_shortened: bool
    """Whether it goes on above."""
    events: tuple[EventLine, ...]
    list_href: str
    actions: RunActions
    stream: str
    """Where what comes from here on is to be had, "" for a run that has ended."""
    style: str
    script: str
    chart_script: str
    chart_style: str
