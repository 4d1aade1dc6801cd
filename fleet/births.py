"""When each standing stack of an environment was begun, as the ledger tells it."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from typing import Any

from stacks import naming

Entry = Mapping[str, Any]


def find_births(entries: Iterable[Entry], environment: str) -> dict[str, datetime.datetime]:
    """Return when each of the environment's standing stacks was begun.

    A stack's life begins with the first `environment.up` after it was last destroyed. An `up` that did
    not succeed, or that was killed and so has no end, may have made something of each stack.
    """
    births: dict[str, datetime.datetime] = {}
    open_starts: list[Entry] = []  # more than one where an `up` was killed and left without an end
    both = naming.environment_stacks(environment)
    for entry in entries:
        if entry["target"] != environment:
            continue
        event, outcome, details = entry["event"], entry["outcome"], entry["details"]
        if event == "environment.up" and outcome == "started":
            open_starts.append(entry)
        elif event == "environment.up" and outcome == "refused":
            start = _start_of_refusal(entry, open_starts)
            if start is not None:
                open_starts.remove(start)
                _begin(births, details.get("stacks", ()), start)
        elif event == "environment.up":
            stacks = details.get("stacks", {}) if outcome == "succeeded" else both
            _begin(births, stacks, next(iter(open_starts), entry))
            open_starts.clear()
        elif event == "environment.down":
            for stack in details.get("destroyed", ()):
                births.pop(stack, None)
    if open_starts:
        _begin(births, both, open_starts[0])
    return births


def _start_of_refusal(refusal: Entry, open_starts: list[Entry]) -> Entry | None:
    """Return the start that a refused `up` closes, None for one that was refused before it started.

    The latter says so (`before_start`). A ledger written before that mark existed is read by who acted:
    a refusal closes the newest start of the same actor that has no end yet, and nobody else's.
    """
    if refusal["details"].get("before_start"):
        return None
    own = [start for start in open_starts if start.get("actor") == refusal.get("actor")]
    return own[-1] if own else None


def _begin(births: dict[str, datetime.datetime], stacks: Iterable[str], start: Entry) -> None:
    for stack in stacks:
        births.setdefault(stack, datetime.datetime.fromisoformat(start["time"]))
