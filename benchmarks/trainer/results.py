"""What a benchmark of the trainer found: rows with baseline, goal and verdict, and their table as text."""

from __future__ import annotations

import random
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

TRUSTED_NOISE = 0.05
"""Where a baseline and its own repetition differ by more than this, the ratios of that run are worthless."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """One figure of the table."""

    id: str
    """The benchmark's letter and number, `C1`."""
    what: str
    value: str
    """The figure as it is to be read, with its unit."""
    baseline: str = ""
    """What it was measured against in the same run, with that one's figure."""
    ratio: float | None = None
    """Figure over baseline."""
    goal: str = ""
    met: bool | None = None
    """None where the row is there for comparison only."""


def table(rows: Sequence[Row]) -> str:
    """Return the rows as a table of text, one line each."""
    head = ("", "what", "figure", "against", "ratio", "goal", "")
    lines = [head, *(_cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def _cells(row: Row) -> tuple[str, ...]:
    verdict = "" if row.met is None else ("met" if row.met else "MISSED")
    ratio = "" if row.ratio is None else f"{row.ratio:.3f}"
    return row.id, row.what, row.value, row.baseline, ratio, row.goal, verdict


def p10(values: Sequence[float]) -> float:
    """Return the value that a tenth of them stay below: of times, that of an undisturbed step."""
    ordered = sorted(values)
    return ordered[len(ordered) // 10]


def median(values: Sequence[float]) -> float:
    """Return the middle value."""
    return statistics.median(values)


def interleaved(names: Sequence[str], rounds: int, seed: int) -> Iterator[str]:
    """Yield every name once a round, in an order drawn anew each time, the same for the same seed."""
    order = random.Random(seed)
    for _ in range(rounds):
        yield from order.sample(list(names), len(names))


def noise(
    first: Sequence[float], again: Sequence[float], figure: Callable[[Sequence[float]], float]
) -> float:
    """Return by what share a baseline and its repetition differ."""
    return abs(figure(again) / figure(first) - 1)
