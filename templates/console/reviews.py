"""The page of monthly reviews: what is due, what there is to look at, and who has signed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from templates.console.home import Tone
from templates.console.parts import Frame, Link, Moment


@dataclass(frozen=True, kw_only=True)
class ReviewLine:
    """One review of one month."""

    kind: str
    period: str
    month: str
    """The month in words."""
    title: str
    state: str
    tone: Tone
    signed_by: str
    """"" where nobody has."""
    signed_at: Moment | None
    note: str
    look: tuple[Link, ...]
    """What is to be looked at."""


@dataclass(frozen=True, kw_only=True)
class PersonRoles:
    """Somebody and what they may, as it is now."""

    name: str
    known_as: str
    roles: str
    state: str


@dataclass(frozen=True, kw_only=True)
class ReviewsPage:
    """What the page shows."""

    template: ClassVar[str] = "console/reviews.html.j2"

    frame: Frame
    style: str
    links: tuple[Link, ...]
    overdue: str
    """What is overdue, in words; "" for nothing."""
    fault: str
    """What was wrong with a form that was sent."""
    reviews: tuple[ReviewLine, ...]
    empty: str
    people: tuple[PersonRoles, ...]
