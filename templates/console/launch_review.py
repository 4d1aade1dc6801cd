"""The last step of a launch: what would be made, what it takes, and what speaks against it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from templates.console.launch import Step
from templates.console.parts import Choice, Field, Frame
from templates.console.phrase import Phrase
from templates.console.problem import Said


@dataclass(frozen=True, kw_only=True)
class Fact:
    """One thing that is to be known before it is started."""

    label: str
    lines: tuple[Phrase, ...]


@dataclass(frozen=True, kw_only=True)
class OverBudget:
    """Why it can't be started as it is, and what would let it be."""

    what: str
    fits: tuple[str, ...]
    """What would fit, each by itself; none where nothing does."""


@dataclass(frozen=True, kw_only=True)
class Review:
    """A launch as it would be started, and the forms that change, ask for and start it."""

    here: str
    facts: tuple[Fact, ...]
    notes: tuple[Phrase, ...]
    """What to know of these figures."""
    nodes: Field
    most_nodes: int
    minutes: Field
    most_minutes: int
    fleets: tuple[Choice, ...]
    """None where there is one."""
    said: tuple[Said, ...]
    """What speaks against it beside the budget."""
    over: OverBudget | None
    approval: str
    """How it stands with an approval, "" where none is needed or asked for."""
    ask_path: str
    """Where a form is sent that asks for an approval, "" where none would help or one was asked for."""
    reason: Field
    start_path: str
    """Where a form is sent that starts it, "" where it can't be."""
    version: str
    """What the form sends back, so that nothing else is started than was read."""
    builds: bool
    """Whether that builds an environment first."""
    command: str
    form_token: str


@dataclass(frozen=True, kw_only=True)
class LaunchReviewPart:
    """What comes a moment after the page, once the cloud has answered."""

    template: ClassVar[str] = "console/launch_review_view.html.j2"

    review: Review


@dataclass(frozen=True, kw_only=True)
class LaunchReviewPage:
    """What the page shows."""

    template: ClassVar[str] = "console/launch_review.html.j2"

    frame: Frame
    steps: tuple[Step, ...]
    review: Review | None
    """None where it comes later, from the next two."""
    part_path: str
    whole_path: str
    style: str
    script: str
