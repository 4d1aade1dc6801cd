"""What `fleetform runs compare` prints: the runs as columns, what differs and what came of it as rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fleet.compare import Comparison, Figure, Result
from scripts.console_io import table
from scripts.run_output import duration, size_text

_NOTHING = "-"


def comparison_lines(found: Comparison) -> Iterator[str]:
    """Yield the lines: the runs, the settings that differ, the results with a `*` at the best ones."""
    about = [
        ("state", *(run.state for run in found.runs)),
        ("nodes x processes", *(size_text(run) for run in found.runs)),
        ("ran", *(duration(run.seconds) for run in found.runs)),
    ]
    differing = [(each.name, *_said(each.values)) for each in found.settings if each.differs]
    results = [(each.name, *_figures(each)) for each in found.results]
    yield table(("", *(run.run_id for run in found.runs)), [*about, *differing, *results])
    alike = [each.name for each in found.settings if not each.differs]
    yield ""
    if found.same_job:
        yield "they are one job, but for its length and its processes"
    if alike:
        yield f"alike in all: {', '.join(alike)}"
    if any(each.best for each in found.results):
        yield "* the best; where intervals overlap, the runs can't be told apart"


def _said(values: Sequence[str]) -> list[str]:
    return [value or _NOTHING for value in values]


def _figures(result: Result) -> list[str]:
    best = result.best
    return [
        (_figure(each) + (" *" if at in best else "")) if each else _NOTHING
        for at, each in enumerate(result.figures)
    ]


def _figure(each: Figure) -> str:
    if each.low is None or each.high is None:
        return f"{each.value:.4g}"
    return f"{each.value:.4g} ({each.low:.4g} to {each.high:.4g})"
