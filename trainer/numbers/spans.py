"""Spans of time that lie over each other, and how long each can be seen from above."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterable
from typing import NamedTuple


class Span(NamedTuple):
    """What one account says of the time from `begin` to `end`."""

    begin: float
    end: float
    priority: int
    """Of two spans the one of higher priority is seen, of equals the one given later."""
    key: str


def seconds_on_top(spans: Iterable[Span], ground: int) -> dict[str, float]:
    """Return for each key the seconds in which a span of it is seen.

    Only time that a span of priority `ground` or less covers counts, so those spans make up the whole.
    """
    ordered = sorted((s.begin, -s.priority, -index, s) for index, s in enumerate(spans) if s.end > s.begin)
    moments = sorted({moment for _, _, _, s in ordered for moment in (s.begin, s.end)})
    heap: list[tuple[int, int, Span]] = []
    found: dict[str, float] = {}
    at, ground_until = 0, float("-inf")
    for moment, following in itertools.pairwise(moments):
        while at < len(ordered) and ordered[at][0] <= moment:
            _, priority, index, span = ordered[at]
            heapq.heappush(heap, (priority, index, span))
            if span.priority <= ground:
                ground_until = max(ground_until, span.end)
            at += 1
        while heap and heap[0][2].end <= moment:
            heapq.heappop(heap)
        if heap and ground_until > moment:
            key = heap[0][2].key
            found[key] = found.get(key, 0.0) + following - moment
    return found
