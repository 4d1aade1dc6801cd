"""Where a run's time went, as a bar: every bucket with its share, its time and what it cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fleet import charts
from fleet.run_numbers import RunNumbers
from trainer.numbers.closing import WORDS, money, seconds_text

if TYPE_CHECKING:
    from fleet.charts import Axes

_COLORS = {
    "productive": charts.GREEN,
    "runtime": charts.GREEN,
    "wasted_progress": charts.RED,
    "data_loading": charts.ORANGE,
    "checkpoint_save": charts.BLUE,
    "checkpoint_restore": "#5B9BD0",
    "evaluation": charts.PURPLE,
    "accelerator_init": "#8A8A8A",
    "training_prep": "#A8A8A8",
    "program_startup": charts.YELLOW,
    "infrastructure_recovery": "#8C2D04",
    "other": "#D0D0D0",
}
_NARROWEST_LABELLED = 0.045
"""Share of the bar from which on a part is written on."""


def is_known(run: RunNumbers) -> bool:
    """Return whether the run's time is known."""
    return run.ledger is not None and run.ledger.wall_seconds > 0


def draw_goodput(run: RunNumbers, axes: Axes) -> None:
    """Draw the bar, and below it a line for each bucket that is not empty."""
    ledger = run.ledger
    assert ledger is not None
    wall = ledger.wall_seconds
    parts = [(name, seconds) for name, seconds in ledger.buckets.items() if seconds > 0]
    begin = 0.0
    for name, seconds in parts:
        share = seconds / wall
        axes.barh(0, share, left=begin, height=0.9, color=_COLORS[name], edgecolor="white", linewidth=0.8)
        if share >= _NARROWEST_LABELLED:
            ink = charts.INK if name in ("program_startup", "data_loading", "other") else "white"
            axes.text(begin + share / 2, 0, f"{100 * share:.0f} %", ha="center", va="center", color=ink)
        begin += share
    for number, (name, seconds) in enumerate(sorted(parts, key=lambda part: -part[1])):
        column, row = divmod(number, -(-len(parts) // 2))
        text = f"{WORDS[name]}, {seconds_text(seconds)}"
        if ledger.usd is not None:
            text += f", {money(ledger.usd[name])}"
        x, y = 0.5 * column, -0.95 - 0.42 * row
        axes.plot(x + 0.008, y, marker="s", markersize=7, color=_COLORS[name], clip_on=False)
        axes.text(x + 0.085, y, f"{100 * seconds / wall:.1f} %", va="center", ha="right", fontsize=9)
        axes.text(x + 0.1, y, text, va="center", fontsize=9)
    axes.set_xlim(0, 1)
    axes.set_ylim(-1.0 - 0.42 * -(-len(parts) // 2), 0.5)
    axes.set_axis_off()
    axes.set_title(_title(run))


def _title(run: RunNumbers) -> str:
    ledger = run.ledger
    assert ledger is not None
    wall = seconds_text(ledger.wall_seconds)
    title = f"Goodput {ledger.goodput_percent or 0:.1f} % of {wall}"
    if ledger.goodput_percent is None:
        title = f"{wall}, goodput unknown: the program reports no steps"
    return title if ledger.usd is None else f"{title}, {money(sum(ledger.usd.values()))} at list price"
