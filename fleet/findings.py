"""Finding: one thing that stands otherwise than declared."""

from __future__ import annotations

from dataclasses import dataclass

from fleet.attributes import AttributeChange
from fleet.drift_ranks import Rank


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that stands otherwise than declared."""

    rank: Rank
    stack: str
    address: str
    """Terraform's address, or a machine's instance id."""
    room: str
    what: str
    """What has happened, as a sentence."""
    attributes: tuple[AttributeChange, ...]
    """What differs, the worst first: declared -> standing."""
    repair: str
    """What to do about it."""
