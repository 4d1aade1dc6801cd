"""The trials of `fleetform speedup` as an SVG: the time on each number of processes, and what it gains."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fleet import charts

if TYPE_CHECKING:
    from fleet.charts import Axes

Rows = Sequence[Mapping[str, Any]]


def plot_trials(found: Mapping[str, Any], path: Path) -> None:
    """Write what trials found (`fleet.speedup.evaluate`) as SVG; the gains only where they are claimed.

    Raises UserError where matplotlib is missing.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    claimed = bool(found["claimed"])
    with charts.styled():
        figure = charts.new_figure(10.5 if claimed else 5.4, 3.6)
        panels = figure.subplots(1, 2 if claimed else 1, squeeze=False)[0]
        _draw_time(found, panels[0])
        if claimed:
            _draw_gains(found, panels[1])
        charts.save_svg(figure, path)


def _draw_time(found: Mapping[str, Any], axes: Axes) -> None:
    rows: Rows = [*found["points"], *found["projected"]]
    middle = found["points"][0]["seconds"]
    factor, unit = (1e3, "ms") if middle < 1 else (1.0, "s")
    times = [row["seconds"] * factor for row in rows]
    colors = [charts.BLUE] * len(found["points"]) + [charts.SKY] * len(found["projected"])
    bars = axes.bar(range(len(rows)), times, width=0.62, color=colors)
    axes.bar_label(bars, [f"{time:.3g}" for time in times], padding=2, fontsize=9, color=charts.INK)
    axes.set_xticks(range(len(rows)), [str(row["processes"]) for row in rows])
    axes.set_xlabel("processes (light: projected)" if found["projected"] else "processes")
    axes.set_title(f"Time of a {found['measure']}, {unit}")
    noise = f"the same trial differs from itself by up to {found['noise_percent']:.1f} %"
    axes.text(1.0, 0.97, noise, transform=axes.transAxes, ha="right", fontsize=8, color=charts.FAINT)


def _draw_gains(found: Mapping[str, Any], axes: Axes) -> None:
    points: Rows = found["points"]
    rows: Rows = [*points, *found["projected"]]
    counts = [row["processes"] for row in rows]
    axes.set_xscale("log", base=2)
    axes.set_yscale("log", base=2)
    axes.plot(counts, counts, color=charts.GREY, linewidth=1.0, linestyle=(0, (4, 3)))
    if found["projected"]:
        later = rows[len(points) - 1 :]
        _line(axes, later, charts.SKY, linestyle=(0, (2, 2)))
    _line(axes, points, charts.BLUE, marker="o", markersize=5)
    for row in points:
        axes.annotate(
            f"{row['speed_up']:.2f}x, {row['efficiency_percent']:.0f} %", (row["processes"], row["speed_up"]),
            xytext=(7, -11), textcoords="offset points", fontsize=8, color=charts.INK,
        )  # fmt: skip
    axes.set_xlim(min(counts) * 0.9, max(counts) * 1.15)
    axes.set_xticks(counts, [str(count) for count in counts])
    axes.minorticks_off()
    axes.yaxis.set_major_formatter(lambda value, _: charts.short_number(value))
    axes.set_xlabel("processes")
    axes.set_title("Speed-up over one process, efficiency")
    ends = [(counts[-1], float(counts[-1]), "ideal", charts.FAINT)]
    if found["projected"]:
        ends.append((counts[-1], rows[-1]["speed_up"], "projected at best", charts.SKY))
    charts.label_ends(axes, ends)


def _line(axes: Axes, rows: Rows, color: str, **style: Any) -> None:
    axes.plot([row["processes"] for row in rows], [row["speed_up"] for row in rows], color=color, **style)
