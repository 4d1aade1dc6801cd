"""Faults on demand: calls that fail, are slow, or are done and then answered with an error."""

from __future__ import annotations

import random
import threading
from dataclasses import asdict, dataclass, field
from typing import Any

from sandbox.calls import Call


@dataclass(kw_only=True)
class Fault:
    """One rule; the first rule that matches a call decides over it."""

    service: str = "*"
    """Name of the API model (`s3`, `ec2`), or `*`."""
    action: str = "*"
    """Name of the action (`PutObject`), or `*`."""
    resource: str = ""
    """Text that must occur in what the call is about (a bucket or key, a parameter's value)."""
    code: str = ""
    """The service's error code; "" only delays the call."""
    message: str = "injected by the embedded cloud"
    status: int = 400
    """HTTP status; 500 and above make clients try again."""
    count: int | None = None
    """How many calls it hits before it is spent; None for ever."""
    skip: int = 0
    """How many matching calls pass before the first is hit."""
    probability: float = 1.0
    """Share of the matching calls that it hits, drawn from `seed`."""
    seed: int = 0
    delay_s: float = 0.0
    """Seconds that a hit call waits first."""
    after: bool = False
    """Make the call, then answer with the error: what a lost answer looks like."""
    hits: int = 0
    """How many calls it has hit; kept by the cloud."""
    _random: random.Random = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)  # noqa: S311 - a reproducible draw, not a secret

    def strikes(self, call: Call) -> bool:
        """Return whether this call is hit, counting it."""
        if self.service not in ("*", call.service) or self.action not in ("*", call.action):
            return False
        if self.resource not in call.text or (self.count is not None and self.hits >= self.count):
            return False
        if self.skip > 0:
            self.skip -= 1
            return False
        if self._random.random() >= self.probability:
            return False
        self.hits += 1
        return True

    def describe(self) -> dict[str, Any]:
        """Return the rule as JSON values."""
        return {name: value for name, value in asdict(self).items() if not name.startswith("_")}


class Faults:
    """The rules in force, in the order in which they were added."""

    def __init__(self) -> None:
        self._rules: list[Fault] = []
        self._lock = threading.Lock()

    def add(self, rule: Fault) -> None:
        """Put a rule in force."""
        with self._lock:
            self._rules.append(rule)

    def clear(self) -> None:
        """Withdraw all rules."""
        with self._lock:
            self._rules.clear()

    def strike(self, call: Call) -> Fault | None:
        """Return the rule that hits this call, or None."""
        with self._lock:
            return next((rule for rule in self._rules if rule.strikes(call)), None)

    def describe(self) -> list[dict[str, Any]]:
        """Return the rules and how often each has hit."""
        with self._lock:
            return [rule.describe() for rule in self._rules]
