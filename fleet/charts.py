"""The one door to matplotlib: how a plot of fleetform looks, and SVG files that are the same each time."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stacks.problems import UserError

if TYPE_CHECKING:
    from matplotlib.axes import Axes as Axes
    from matplotlib.figure import Figure

BLUE, ORANGE, GREEN, RED = "#0072B2", "#E69F00", "#009E73", "#D55E00"
SKY, PURPLE, YELLOW, GREY = "#56B4E9", "#CC79A7", "#F0E442", "#9A9A9A"
"""Okabe and Ito's colours, which the colour-blind tell apart (https://jfly.uni-koeln.de/color/)."""
FEW_POINTS, BANDS = 80, 240
"""Points of a curve up to which each is drawn, and into how many groups more of them are put."""
INK, FAINT, RULE = "#222222", "#6B6B6B", "#E3E3E3"
_STYLE: dict[str, Any] = {
    "font.family": "sans-serif",
    "font.size": 10.0,
    "text.color": INK,
    "axes.edgecolor": "#B5B5B5",
    "axes.labelcolor": FAINT,
    "axes.labelsize": 9.0,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 11.0,
    "axes.titleweight": "bold",
    "axes.titlepad": 10.0,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "axes.formatter.useoffset": False,
    "axes.formatter.limits": (-4, 6),
    "grid.color": RULE,
    "grid.linewidth": 0.8,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelsize": 9.0,
    "ytick.labelsize": 9.0,
    "xtick.major.size": 3.0,
    "ytick.major.size": 0.0,
    "lines.linewidth": 1.6,
    "lines.solid_capstyle": "round",
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    # Text stays text: a reader can select it, and the file does not depend on the outlines of a font.
    "svg.fonttype": "none",
    "svg.hashsalt": "fleetform",
}


def require_matplotlib() -> None:
    """Raise UserError where matplotlib is not installed."""
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise UserError.of(
            "plots need matplotlib, which is not installed", "pip install 'fleetform[plots]'", path="plots"
        ) from None


@contextmanager
def styled() -> Iterator[None]:
    """Draw in fleetform's style, and leave matplotlib's settings as they were."""
    require_matplotlib()
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)
        yield


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure of so many inches, laid out by its contents."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def save_svg(figure: Figure, path: Path) -> None:
    """Write the figure as SVG, the same bytes each time: without the date and the program's version."""
    figure.savefig(path, format="svg", metadata={"Date": None, "Creator": "fleetform"})


def label_ends(axes: Axes, ends: Sequence[tuple[float, float, str, str]]) -> None:
    """Write each line's name at its last point: x, y, text, colour; none over another.

    The axes' limits and scales are to be set before.
    """
    figure = axes.get_figure(root=True)
    assert figure is not None
    inches = figure.get_size_inches()[1] * axes.get_position().height
    apart = 0.16 / max(inches, 0.5)
    to_share = axes.transData + axes.transAxes.inverted()
    placed = -1.0
    for x, y, text, color in sorted(ends, key=lambda end: end[1]):
        across, up = to_share.transform((x, y))
        placed = max(up, placed + apart)
        axes.annotate(
            text, (across, placed), xycoords="axes fraction", xytext=(5, 0), textcoords="offset points",
            va="center", color=color, fontsize=9, annotation_clip=False,
        )  # fmt: skip


def noisy_curve(axes: Axes, xs: Sequence[float], ys: Sequence[float], color: str) -> None:
    """Draw a series; one of many points as a line of means in a faint band from least to greatest."""
    middles, groups = grouped(xs, ys)
    if len(groups) < len(ys):
        least, greatest = [min(group) for group in groups], [max(group) for group in groups]
        axes.fill_between(middles, least, greatest, color=color, alpha=0.2, linewidth=0)
    axes.plot(middles, [statistics.fmean(group) for group in groups], color=color)


def grouped(xs: Sequence[float], ys: Sequence[float]) -> tuple[list[float], list[Sequence[float]]]:
    """Return the values in groups of neighbours with the middle of each; few values are a group each."""
    size = 1 if len(ys) <= FEW_POINTS else max(2, -(-len(ys) // BANDS))
    groups = [slice(at, at + size) for at in range(0, len(ys), size)]
    return [statistics.fmean(xs[group]) for group in groups], [ys[group] for group in groups]


def short_number(value: float) -> str:
    """Return a number in few letters: `850`, `12.5k`, `1.02M`, `3e-4`."""
    for factor, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= factor:
            return f"{value / factor:.3g}{letter}"
    if 0 < abs(value) < 1e-3:
        digits, exponent = f"{value:.2e}".split("e")
        return f"{float(digits):g}e{int(exponent)}"
    return f"{value:.3g}"
