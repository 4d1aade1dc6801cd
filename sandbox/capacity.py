"""How many machines a zone has room for, as tests and rehearsals set it; without a limit, any number."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from moto.core.exceptions import ServiceException

ANY = "*"
Kind = tuple[str, str, str]
"""Instance type, zone and market of an instance."""


@dataclass(frozen=True, kw_only=True)
class Limit:
    """At most so many instances of a type, in a zone, bought in a way, may run at once."""

    count: int
    instance_type: str = ANY
    zone: str = ANY
    """`us-east-1a`."""
    market: str = ANY
    """`on-demand`, `spot` or `capacity-block`."""

    def __post_init__(self) -> None:
        if isinstance(self.count, bool) or not isinstance(self.count, int) or self.count < 0:
            raise ValueError(f"count: {self.count!r} is no number of machines")

    def covers(self, instance_type: str, zone: str, market: str) -> bool:
        """Return whether instances of that kind count towards the limit."""
        asked = ((self.instance_type, instance_type), (self.zone, zone), (self.market, market))
        return all(limit in (ANY, given) for limit, given in asked)


class Capacity:
    """The limits in force, in one process all of them."""

    def __init__(self) -> None:
        self._limits: list[Limit] = []
        self._lock = threading.Lock()

    def add(self, limit: Limit) -> None:
        """Put a limit in force, in place of an earlier one for the same machines."""
        with self._lock:
            same = (limit.instance_type, limit.zone, limit.market)
            kept = [each for each in self._limits if (each.instance_type, each.zone, each.market) != same]
            self._limits = [*kept, limit]

    def clear(self) -> None:
        """Withdraw all limits."""
        with self._lock:
            self._limits = []

    def describe(self) -> list[dict[str, Any]]:
        """Return the limits as JSON values."""
        with self._lock:
            return [asdict(each) for each in self._limits]

    def require(self, backend: Any, wanted: Kind, ahead: Iterable[Kind] = ()) -> None:
        """Refuse an instance that no room is left for, by a ServiceException in EC2's words.

        `ahead` are others that are to be started before it.
        """
        instance_type, zone, _ = wanted
        with self._lock:
            limits = [each for each in self._limits if each.covers(*wanted)]
        if not limits:
            return
        running = [_kind(each) for each in backend.all_instances() if each.state in ("pending", "running")]
        running += ahead
        for limit in limits:
            if sum(limit.covers(*kind) for kind in running) >= limit.count:
                raise ServiceException(
                    "InsufficientInstanceCapacity",
                    f"We currently do not have sufficient {instance_type} capacity in the Availability Zone "
                    f"you requested ({zone}).",
                )


def _kind(instance: Any) -> Kind:
    return str(instance.instance_type), str(instance.placement.zone), instance.lifecycle or "on-demand"


CAPACITY = Capacity()
"""The limits of this embedded cloud; moto's backends are global to the process as well."""
