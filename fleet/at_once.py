"""Asks the cloud several things at the same time, for most of the time goes into waiting for its answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

_THREADS = 8
"""Fewer than the connections that a client keeps, 10."""
Asked = TypeVar("Asked")
Answer = TypeVar("Answer")


def each_at_once(act: Callable[[Asked], Answer], asked: Sequence[Asked]) -> list[Answer]:
    """Return the answer to each, in their order; raises what the first that fails raises."""
    if not asked:
        return []
    with ThreadPoolExecutor(max_workers=_THREADS) as pool:
        return list(pool.map(act, asked))
