"""The second step of a launch: the data that is learned from, with a few items of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from templates.console.data_preview import DataPreview
from templates.console.launch import Step
from templates.console.parts import Frame


@dataclass(frozen=True, kw_only=True)
class SetLine:
    """Data that can be chosen."""

    title: str
    text: str
    """What can be learned from it."""
    href: str
    """Where a few of its items are shown."""
    current: bool
    """Whether that is here."""


@dataclass(frozen=True, kw_only=True)
class LaunchDataPage:
    """What the page shows."""

    template: ClassVar[str] = "console/launch_data.html.j2"

    frame: Frame
    steps: tuple[Step, ...]
    here: str
    own: tuple[SetLine, ...]
    """What the reader has brought."""
    bring_href: str
    """Where they bring more, "" for whom it can't."""
    known: tuple[SetLine, ...]
    preview: DataPreview | None
    """What is shown now, None for nothing."""
    field: str
    """What the form sends of it: `known` or `upload`."""
    value: str
    style: str
