"""The first page of an evidence pack, in English and in Korean: readable by anybody, without a script."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, kw_only=True)
class EvidenceLine:
    """One item of the pack."""

    title: str
    shows: str
    path: str
    count: str
    controls: str
    """The controls that it is evidence towards, or what it is there for instead."""
    trouble: str
    """What is missing of it or wrong with it; "" for nothing."""


@dataclass(frozen=True, kw_only=True)
class EvidencePage:
    """What the page shows."""

    name: str
    """The environment, "" for all of the account."""
    since: str
    until: str
    after: str
    """Head of the ledger before the slice that the pack has."""
    head: str
    intact: bool
    findings: tuple[str, ...]
    lines: tuple[EvidenceLine, ...]
    never_looked_at: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class EvidencePageEnglish(EvidencePage):
    """The page in English."""

    template: ClassVar[str] = "evidence/index.en.html.j2"


@dataclass(frozen=True, kw_only=True)
class EvidencePageKorean(EvidencePage):
    """The page in Korean."""

    template: ClassVar[str] = "evidence/index.ko.html.j2"
