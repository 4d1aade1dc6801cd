"""When an environment's stacks stood, by the ledger: what costs beside machines, what was left over after."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

from fleet.births import Entry, find_births
from fleet.costs.amounts import milliseconds

_UP, _DOWN = "environment.up", "environment.down"
Period = tuple[int, int]
"""From a moment to a moment, milliseconds since the epoch."""


def standing_periods(
    entries: Iterable[Entry], environment: str, stack: str, since: int, until: int
) -> list[Period] | None:
    """Return when the stack stood; None where the ledger tells nothing of the environment.

    One that was destroyed without a word of its beginning has stood since `since`, where the entries begin.
    """
    mine = [each for each in entries if each["target"] == environment and each["event"] in (_UP, _DOWN)]
    if not mine:
        return None
    found: list[Period] = []
    for number, entry in enumerate(mine):
        if entry["event"] == _DOWN and stack in entry["details"].get("destroyed", ()):
            begun = _begun(mine[:number], environment, stack)
            if begun is not None or not found:
                found.append((since if begun is None else begun, milliseconds(entry["time"])))
    begun = _begun(mine, environment, stack)
    return found if begun is None else [*found, (begun, until)]


def _begun(entries: Sequence[Entry], environment: str, stack: str) -> int | None:
    birth: datetime.datetime | None = find_births(entries, environment).get(stack)
    return None if birth is None else milliseconds(birth)


def gone_periods(stood: Sequence[Period], until: int) -> Iterator[Period]:
    """Yield when it stood no more: from an end to the next beginning, or to `until`."""
    for (_, ended), (begun, _) in pairwise((*stood, (until, until))):
        if ended < begun:
            yield ended, begun
