"""The plots of a run: one SVG each for what it tells, and all of them on one page."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from fleet import charts
from fleet.run_numbers import RunNumbers
from fleet.run_panels import Panel, counted, panels_of
from trainer.numbers.closing import seconds_text


def plot_run(run: RunNumbers, folder: Path) -> list[Path]:
    """Write the plots that the run's numbers allow into the folder; return their files, the overview last.

    Raises UserError where matplotlib is missing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    panels = panels_of(run)
    paths = []
    with charts.styled():
        for name, panel in panels.items():
            figure = charts.new_figure(7.2, panel.height)
            panel.draw(run, figure.add_subplot())
            paths.append(folder / f"{run.name}-{name}.svg")
            charts.save_svg(figure, paths[-1])
        paths.append(folder / f"{run.name}-overview.svg")
        _overview(run, panels, paths[-1])
    return paths


def _overview(run: RunNumbers, panels: Mapping[str, Panel], path: Path) -> None:
    """Draw all panels on one page, the bar of the time across its foot."""
    small = [panel for name, panel in panels.items() if name != "goodput"]
    bar = panels.get("goodput")
    rows = -(-len(small) // 2)
    heights = [2.7] * rows + ([bar.height] if bar else [])
    figure = charts.new_figure(12.5, sum(heights) + 0.6)
    grid = figure.add_gridspec(len(heights), 2, height_ratios=heights)
    for at, panel in enumerate(small):
        panel.draw(run, figure.add_subplot(grid[at // 2, at % 2]))
    if bar:
        bar.draw(run, figure.add_subplot(grid[rows, :]))
    figure.suptitle(_headline(run), x=0.01, ha="left", fontsize=13, fontweight="bold")
    charts.save_svg(figure, path)


def _headline(run: RunNumbers) -> str:
    steps = max((line["step"] for line in run.metrics), default=None)
    parts = []
    if steps is not None:
        parts.append(f"{steps:,.0f} steps")
    if run.ledger is not None:
        parts.append(seconds_text(run.ledger.wall_seconds))
        parts.append(counted(len(run.ledger.restarts), "restart"))
        if run.ledger.goodput_percent is not None:
            parts.append(f"goodput {run.ledger.goodput_percent:.1f} %")
    return f"{run.name}: {', '.join(parts)}" if parts else run.name
