"""The card that goes home with a model: where it is from, and what the trainer said of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, kw_only=True)
class ModelCard:
    """What the card says; every value is ready to print."""

    template: ClassVar[str] = "model/card.md.j2"

    run_id: str
    facts: tuple[tuple[str, str], ...]
    """Names and values of the lineage."""
    gaps: tuple[str, ...]
    """What of the lineage can't be told."""
    files: tuple[tuple[str, str, str], ...]
    """Name, bytes and SHA-256 of the model's files."""
    trainer_card: str
    """What the trainer wrote of the model, its headings one level lower; "" where it wrote nothing."""
