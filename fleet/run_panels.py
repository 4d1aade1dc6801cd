"""What a run's plots show, one function each: loss, speed, step time, rates, memory, its own metrics."""

from __future__ import annotations

import re
import statistics
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fleet import charts, goodput_chart
from fleet.run_numbers import RunNumbers

if TYPE_CHECKING:
    from fleet.charts import Axes

_HELD_OUT = ("val_loss", "held_out_loss", "eval_loss", "test_loss", "log_loss")
"""Names under which programs log the loss on data that they do not train on."""
_CAUSE_LETTERS = 40
_FEW_MARKS = 40
_STEP_OF_CAUSE = re.compile(r" (in|at) step \d+")
_MOST_OWN = 6
"""Metrics of the program's own that are plotted; more would hide the others."""
_KNOWN = frozenset(
    {"step", "samples", "loss", "lr", "gradient_norm", "samples_per_s", "tokens_per_s", "step_seconds",
     "data_wait_seconds", "mfu", "memory_bytes", *_HELD_OUT}
)  # fmt: skip


@dataclass(frozen=True)
class Panel:
    """One plot."""

    allowed: Callable[[RunNumbers], bool]
    """Whether the run tells what it needs."""
    draw: Callable[[RunNumbers, Axes], None]
    height: float
    """Inches."""


def panels_of(run: RunNumbers) -> dict[str, Panel]:
    """Return the plots that the run's numbers allow, by name, the bar of its time last."""
    found = {name: panel for name, panel in PANELS.items() if panel.allowed(run)}
    own = sorted(name for name in run.names() - _KNOWN if len(set(run.series(name)[1])) > 1)
    metrics = {f"metric-{_file_part(name)}": _own_panel(name) for name in own[:_MOST_OWN]}
    goodput = {"goodput": found.pop("goodput")} if "goodput" in found else {}
    return found | metrics | goodput


def _file_part(name: str) -> str:
    """Return a metric's name as a part of a file's name."""
    return re.sub("[^a-z0-9]+", "-", name.lower()).strip("-")


def counted(count: int, noun: str) -> str:
    """Return the number with its noun: `1 restart`, `2 restarts`."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def draw_loss(run: RunNumbers, axes: Axes) -> None:
    """Draw the training loss, and the loss on held-out data where it was logged."""
    steps, values = run.series("loss")
    charts.noisy_curve(axes, steps, values, charts.BLUE)
    recent = statistics.fmean(values[-max(1, len(values) // 50) :])
    ends = [(steps[-1], recent, f"training {recent:.4g}", charts.BLUE)]
    for name in _HELD_OUT:
        at, held_out = run.series(name)
        if at:
            axes.plot(at, held_out, color=charts.RED, marker="o", markersize=4)
            ends.append((at[-1], held_out[-1], f"held out {held_out[-1]:.4g}", charts.RED))
            break
    if min(values) > 0 and max(values) > 50 * min(values):
        axes.set_yscale("log")
    _finish(axes, "Loss", run)
    charts.label_ends(axes, ends)


def draw_throughput(run: RunNumbers, axes: Axes) -> None:
    """Draw the units a second; the MFU, which is in proportion to it, stands beside the median."""
    steps, values = run.series(f"{run.unit}_per_s")
    charts.noisy_curve(axes, steps, values, charts.GREEN)
    axes.set_ylim(0, max(values) * 1.12)
    text = f"median {charts.short_number(statistics.median(values))}"
    _, shares = run.series("mfu")
    if shares:
        text += f", MFU {100 * statistics.median(shares):.1f} %"
    _corner(axes, text)
    axes.yaxis.set_major_formatter(lambda value, _: charts.short_number(value))
    _finish(axes, f"Throughput, {run.unit} a second", run)


def draw_step_time(run: RunNumbers, axes: Axes) -> None:
    """Draw the time of a step and the part that waited for data, with restarts and checkpoints."""
    steps, values = run.series("step_seconds")
    middle = statistics.median(values)
    factor, unit = (1e3, "ms") if middle < 1 else (1.0, "s")
    charts.noisy_curve(axes, steps, [value * factor for value in values], charts.BLUE)
    text = f"median {middle * factor:.3g} {unit}"
    at, waits = run.series("data_wait_seconds")
    if waits:
        middles, groups = charts.grouped(at, waits)
        heights = [statistics.fmean(group) * factor for group in groups]
        axes.fill_between(middles, heights, color=charts.ORANGE, linewidth=0)
        text += f", waiting for data {statistics.fmean(waits) * factor:.2g} {unit} (mean)"
    # A few steps that warm up must not press all others flat.
    top = min(max(values), 2.4 * middle)
    axes.set_ylim(0, top * factor * 1.2 or 1)
    above = sum(value > 1.2 * top for value in values)
    failures, notes = _restarts(run, axes), _saves(run, axes)
    if above:
        notes.append(f"{counted(above, 'point')} above the frame")
    _corner(axes, text)
    _finish(axes, f"Step time, {unit}", run)
    axes.set_xlabel("\n".join(filter(None, ["optimizer step", *failures, ", ".join(notes)])))


def draw_learning_rate(run: RunNumbers, axes: Axes) -> None:
    """Draw the learning rate."""
    steps, values = run.series("lr")
    charts.noisy_curve(axes, steps, values, charts.PURPLE)
    axes.set_ylim(0, max(values) * 1.12 or 1)
    axes.yaxis.set_major_formatter(lambda value, _: charts.short_number(value))
    _finish(axes, "Learning rate", run)
    charts.label_ends(axes, [(steps[-1], values[-1], charts.short_number(values[-1]), charts.PURPLE)])


def draw_gradient_norm(run: RunNumbers, axes: Axes) -> None:
    """Draw the norm of the gradient before it was clipped."""
    steps, values = run.series("gradient_norm")
    charts.noisy_curve(axes, steps, values, charts.FAINT)
    if min(values) > 0 and max(values) > 50 * min(values):
        axes.set_yscale("log")
    else:
        axes.set_ylim(0, max(values) * 1.12 or 1)
    _corner(axes, f"median {statistics.median(values):.3g}")
    _finish(axes, "Gradient norm before clipping", run)


def draw_memory(run: RunNumbers, axes: Axes) -> None:
    """Draw the most memory that rank 0 had held."""
    steps, values = run.series("memory_bytes")
    factor, unit = (1e9, "GB") if max(values) >= 1e9 else (1e6, "MB")
    changes = [at for at in range(len(values)) if at in (0, len(values) - 1) or values[at] != values[at - 1]]
    xs, ys = [steps[at] for at in changes], [values[at] / factor for at in changes]
    axes.plot(xs, ys, color=charts.SKY, drawstyle="steps-post")
    axes.fill_between(xs, ys, color=charts.SKY, alpha=0.18, linewidth=0, step="post")
    axes.set_ylim(0, max(ys) * 1.15)
    _corner(axes, f"at most {max(ys):.3g} {unit}")
    _finish(axes, f"Peak memory of rank 0, {unit}", run)


def _own_panel(name: str) -> Panel:
    """Return the plot of a metric that the program logged under a name of its own."""

    def draw(run: RunNumbers, axes: Axes) -> None:
        steps, values = run.series(name)
        if len(values) <= charts.FEW_POINTS:
            axes.plot(steps, values, color=charts.BLUE, marker="o", markersize=4)
        else:
            charts.noisy_curve(axes, steps, values, charts.BLUE)
        _finish(axes, name, run)
        charts.label_ends(axes, [(steps[-1], values[-1], f"{values[-1]:.4g}", charts.BLUE)])

    return Panel(lambda run: True, draw, 3.0)


def _saves(run: RunNumbers, axes: Axes) -> list[str]:
    """Mark the checkpoints at the foot of the plot where they are few; return what to say of them."""
    saves = sorted({event.number("step") for event in run.events if event.kind == "saved"})
    if not saves:
        return []
    said = counted(len(saves), "checkpoint")
    if len(saves) > _FEW_MARKS:
        return [said]
    axes.plot(saves, [0.0] * len(saves), linestyle="none", marker="^", markersize=6,
              color=charts.GREEN, clip_on=False, zorder=5)  # fmt: skip
    return [f"{said} (\N{BLACK UP-POINTING TRIANGLE})"]


def _restarts(run: RunNumbers, axes: Axes) -> list[str]:
    """Draw a line at the step that each failed attempt had come to; return what to say of them."""
    restarts = [each for each in (run.ledger.restarts if run.ledger else ()) if each["step"]]
    if not restarts:
        return []
    for each in restarts:
        axes.axvline(each["step"], color=charts.RED, linewidth=1.0, linestyle=(0, (2, 2)), zorder=1)
    causes = Counter(_STEP_OF_CAUSE.sub("", str(each["cause"])) for each in restarts)
    cause, count = causes.most_common(1)[0]
    cause = cause if len(cause) <= _CAUSE_LETTERS else f"{cause[: _CAUSE_LETTERS - 3]}..."
    said = f"{counted(len(restarts), 'restart')} (dotted lines): {cause}"
    return [said if count == len(restarts) else f"{said} and others"]


def _corner(axes: Axes, text: str) -> None:
    axes.set_title(text, loc="right", fontsize=9, fontweight="normal")


def _finish(axes: Axes, title: str, run: RunNumbers) -> None:
    axes.set_title(title)
    axes.set_xlim(0, max(line["step"] for line in run.metrics) or 1)
    axes.set_xlabel("optimizer step")
    axes.xaxis.set_major_formatter(lambda value, _: charts.short_number(value))


def _has(*names: str) -> Callable[[RunNumbers], bool]:
    return lambda run: any(run.series(name)[0] for name in names)


PANELS: dict[str, Panel] = {
    "loss": Panel(_has("loss"), draw_loss, 3.2),
    "throughput": Panel(_has("tokens_per_s", "samples_per_s"), draw_throughput, 3.2),
    "step-time": Panel(_has("step_seconds"), draw_step_time, 3.4),
    "learning-rate": Panel(_has("lr"), draw_learning_rate, 3.0),
    "gradient-norm": Panel(_has("gradient_norm"), draw_gradient_norm, 3.0),
    "memory": Panel(_has("memory_bytes"), draw_memory, 3.0),
    "goodput": Panel(goodput_chart.is_known, goodput_chart.draw_goodput, 3.3),
}
"""The plots of what the trainer itself logs."""
