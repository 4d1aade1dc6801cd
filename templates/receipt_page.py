"""The page of a teardown's receipt: readable by anybody, in one file, without a script."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, kw_only=True)
class Section:
    """One table of the page."""

    title: str
    note: str
    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    amounts: tuple[int, ...] = ()
    """The columns, from 0, that hold lengths of time or money: to the right, on one line."""


@dataclass(frozen=True, kw_only=True)
class ReceiptPage:
    """What the page shows; every value is ready to print."""

    template: ClassVar[str] = "receipt/receipt.html.j2"

    title: str
    verdict: str
    good: bool
    """Whether nothing is left and everything was looked at."""
    facts: tuple[tuple[str, str], ...]
    overridden: tuple[str, ...]
    """What stood against the teardown and was overridden."""
    sections: tuple[Section, ...]
