"""Launches that wait for somebody to let them go over the budget."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from templates.console.parts import Field, Frame, Moment
from templates.console.phrase import Phrase


@dataclass(frozen=True, kw_only=True)
class ApprovalLine:
    """One of them."""

    id: str
    title: str
    """Who wants to train where."""
    what: Phrase
    data: str
    size: str
    """How many machines for how long."""
    usd: str
    """What it may cost at most."""
    left: str
    """What was left of the budget when it was asked for."""
    reason: str
    asked: Moment
    version: str
    """What the form sends back, so that nothing else is approved than was read."""
    own: bool
    """Whether it is the reader's, who can't answer it then."""
    said: Field


@dataclass(frozen=True, kw_only=True)
class ApprovalsPage:
    """What the page shows."""

    template: ClassVar[str] = "console/approvals.html.j2"

    frame: Frame
    lines: tuple[ApprovalLine, ...]
    style: str
