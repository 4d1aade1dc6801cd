"""Several runs beside each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from templates.console.home import Tone
from templates.console.parts import Frame


@dataclass(frozen=True, kw_only=True)
class ComparedRun:
    """One run, a column."""

    id: str
    href: str
    state: str
    tone: Tone


@dataclass(frozen=True, kw_only=True)
class Cell:
    """What one run has of a row."""

    text: str
    reach: str
    """Between which values it truly lies, "" where that is not known."""
    best: bool


@dataclass(frozen=True, kw_only=True)
class Row:
    """One setting or figure of all runs."""

    label: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True, kw_only=True)
class ComparePage:
    """What the page shows."""

    template: ClassVar[str] = "console/compare.html.j2"

    frame: Frame
    style: str
    list_href: str
    runs: tuple[ComparedRun, ...]
    settings: tuple[Row, ...]
    """Those that differ."""
    results: tuple[Row, ...]
    alike: str
    """The names of the settings that don't differ."""
    same_job: bool
