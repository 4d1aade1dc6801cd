"""The page of a teardown's receipt: what became of each stack, what it cost, and what is left."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from templates.console.home import Figure, Tone
from templates.console.parts import Frame


@dataclass(frozen=True, kw_only=True)
class StackLine:
    """What became of one stack."""

    stack: str
    fate: str
    resources: str
    lived: str
    """"" where nobody knows when it began."""
    cost: str


@dataclass(frozen=True, kw_only=True)
class ThingLine:
    """One thing that stands, in the product's words, which are English."""

    kind: str
    id: str
    name: str
    price: str
    note: str


@dataclass(frozen=True, kw_only=True)
class ReceiptPage:
    """What the page shows."""

    template: ClassVar[str] = "console/receipt.html.j2"

    frame: Frame
    verdict: str
    tone: Tone
    figures: tuple[Figure, ...]
    anyway: str
    """Why it was done in spite of what spoke against it, "" where nothing did."""
    overridden: tuple[str, ...]
    stacks: tuple[StackLine, ...]
    left: tuple[ThingLine, ...]
    kept: tuple[ThingLine, ...]
    unseen: tuple[str, ...]
    digest: str
    """SHA-256 of the receipt's file, as the ledger has it."""
    file: str
    """Where the file itself is."""
    leftovers: str
    """The page of what is left over in the account, "" for who may not see it."""
