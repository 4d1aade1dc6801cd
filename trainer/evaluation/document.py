"""evaluation.json, and its figures as lines of a model card: held-out metrics beside what needs no model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

FORMAT = "fleetform-evaluation/1"
FILE = "evaluation.json"


def evaluation_document(recipe: str, data: Mapping[str, Any], metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Return evaluation.json's content from what a task's `evaluate` returned."""
    report = metrics.get("report") or {
        "metrics": {name: {"value": value} for name, value in metrics.items()},
    }
    head = {"format": FORMAT, "recipe": recipe, "data": dict(data), "intervals": what_intervals_say(data)}
    return head | report


def what_intervals_say(data: Mapping[str, Any]) -> str:
    """Return what the intervals take for granted, and whether this data is known to be otherwise."""
    said = "Intervals hold the metric's true value in 95 of 100 such held-out parts, where their items are "
    said += "independent of each other; they say nothing of data from elsewhere."
    if group := data.get("grouped_by"):
        said += f" Here items of one {group} are alike, so the true intervals are wider than these."
    return said


def plain_metrics(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Return the metrics that are one number each: all but the report."""
    return {name: float(value) for name, value in metrics.items() if name != "report"}


def metrics_table(document: Mapping[str, Any]) -> str:
    """Return the metrics as a Markdown table: value, 95 % interval, items, and the baseline's value."""
    baseline = document.get("baseline") or {"name": "", "metrics": {}}
    lines = [
        f"| metric | held-out | 95 % interval | items | {baseline['name'] or 'baseline'} |",
        "|---|---|---|---|---|",
    ]
    for name, entry in document["metrics"].items():
        reach = f"{figure(entry['low'])} to {figure(entry['high'])}" if "low" in entry else "-"
        other = baseline["metrics"].get(name)
        unit = f" ({entry['unit']})" if entry.get("unit") else ""
        lines.append(
            f"| {name}{unit} | {figure(entry['value'])} | {reach} | {entry.get('n', '-')} | "
            f"{figure(other['value']) if other else '-'} |"
        )
    return "\n".join(lines)


def interval_line(document: Mapping[str, Any]) -> str:
    """Return how far a predicted number's interval goes and how that held; empty where there is none."""
    interval = document.get("interval")
    if not interval or interval["reach"] is None:
        return ""
    line = f"A prediction's interval goes {figure(interval['reach'])} to both sides, "
    line += f"for {interval['share']:.0%} of new items to lie within."
    if checked := interval["checked"]:
        reach = f"{checked['low']:.1%} to {checked['high']:.1%}"
        line += f" When half of the items set it, {checked['value']:.1%} ({reach}) of the other half did."
    return f"\n\n{line}"


def reference_lines(document: Mapping[str, Any]) -> str:
    """Return what other methods reach on the same held-out items, a line each, or that none was measured."""
    lines = []
    for reference in document.get("references") or []:
        figures = ", ".join(
            f"{name} {figure(entry['value'])}"
            + (f" ({figure(entry['low'])} to {figure(entry['high'])})" if "low" in entry else "")
            for name, entry in reference["metrics"].items()
        )
        source = f" ({reference['source']})" if reference.get("source") else ""
        lines.append(f"- {reference['name']}: {figures}{source}")
    return "\n".join(lines) or "No other method was measured on this data."


def figure(value: float) -> str:
    """Return a number with four significant digits."""
    return f"{value:.4g}"
