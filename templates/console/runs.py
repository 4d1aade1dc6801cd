"""An environment's runs: one page of them, what narrows them down, and what compares some."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from templates.console.home import RunLine
from templates.console.parts import Choice, Frame


@dataclass(frozen=True, kw_only=True)
class RunRow:
    """One run in the list."""

    line: RunLine
    href: str
    person: str
    """Who submitted it."""
    size: str
    """Nodes by processes."""
    tasks: str
    """How its tasks stand, where it is an array; else ""."""


@dataclass(frozen=True, kw_only=True)
class RunsPage:
    """What the page shows."""

    template: ClassVar[str] = "console/runs.html.j2"

    frame: Frame
    style: str
    here: str
    """The page's own path."""
    states: tuple[Choice, ...]
    person: str
    """Whose runs are shown, "" for everybody's."""
    rows: tuple[RunRow, ...]
    compare: str
    """Where several runs are compared."""
    older: str
    """Link to the next page, "" at the end."""
    newest: str
    """Link to the first page, "" on it."""
    empty: str
    """What to say where there is nothing to show."""
