"""A text in a language that may be another one than the page's."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Phrase:
    """What somebody reads who may read it in another language than the page's."""

    text: str
    language: str
    """Of the text, "" for the page's own."""
