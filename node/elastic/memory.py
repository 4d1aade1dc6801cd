"""Since when the keeper has seen something: what lasts is a fact, what passes may be a listing that lags."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field


@dataclass
class Memory:
    """What was so in the last look, and since when."""

    _since: dict[Hashable, float] = field(default_factory=dict)
    _seen: set[Hashable] = field(default_factory=set)
    in_service: dict[str, str] = field(default_factory=dict)
    """Id of the machine that each node was last seen to have, while it is in service."""

    def lasted(self, fact: Hashable, now: float) -> float:
        """Return for how many seconds the fact has been so, without a look at which it was not."""
        self._seen.add(fact)
        return now - self._since.setdefault(fact, now)

    def end_look(self) -> None:
        """Forget what was not so in this look."""
        self._since = {fact: since for fact, since in self._since.items() if fact in self._seen}
        self._seen = set()
